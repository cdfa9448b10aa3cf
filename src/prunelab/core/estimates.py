"""A measured number and how far it may be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Self


@dataclass(frozen=True)
class Estimate:
    """One measured quantity.

    ``value`` is None where the quantity is undefined (the dense model's PSNR to itself). ``low`` and
    ``high`` bound it: a 95 % bootstrap interval for means, smallest and largest over the sampling
    seeds for distances between distributions, whose bootstrap is biased. ``n``: of a mean, the number of
    independent units that are resampled (distinct prompts; samples where nothing is asked for); of a
    distance between distributions, the samples of each sampling seed. ``floor``: only of such distances,
    the same distance of n real examples to other real ones, undefined where there are too few.
    ``warning``: what makes the number less than it seems, in a line.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    floor: Optional["Estimate"] = None
    warning: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields under their names, as ``report.json`` holds them; the last two only where they are."""
        fields = {"value": self.value, "low": self.low, "high": self.high, "n": self.n}
        floor = {} if self.floor is None else {"floor": self.floor.as_json()}
        return fields | floor | ({} if self.warning is None else {"warning": self.warning})

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """What ``as_json`` made."""
        floor = fields.get("floor")
        return cls(**{**fields, "floor": None if floor is None else cls.from_json(floor)})


UNDEFINED = Estimate(None, None, None, 0)
NOTHING_REAL = Estimate(
    None, None, None, 0, warning="left out: there are no real examples, or no features of them"
)
