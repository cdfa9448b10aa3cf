"""What a scorer can mean: units by what they are, not by name, so that a new granularity asks no scorer."""

from collections.abc import Callable
from dataclasses import dataclass

from prunelab.core.units import Unit


@dataclass(frozen=True)
class Meaning:
    """``holds`` says whether a scorer's number would mean anything for a unit; ``words`` say so to people."""

    words: str
    holds: Callable[[Unit], bool]


ANY = Meaning("units of any kind", lambda unit: True)
STRUCTURED = Meaning("units that leave their layers, no single weights", lambda unit: unit.matrix is None)
EXACT = Meaning(
    "units whose gates equal their removal: neither single weights nor channels through norms",
    lambda unit: unit.exact and unit.matrix is None,
)
SINGLE_WEIGHTS = Meaning("single weights", lambda unit: unit.matrix is not None)
