"""What is asked of each component."""

from collections.abc import Sequence

from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit, by_component


def each_component(units: Sequence[Unit], sparsity: Sparsity) -> list[tuple[list[Unit], float]]:
    """The units of each component and its share; refuses a share of one without chosen units."""
    groups = by_component(units)
    shares = sparsity.of_each(groups, "components with chosen units")
    return [(members, shares[name]) for name, members in groups.items()]
