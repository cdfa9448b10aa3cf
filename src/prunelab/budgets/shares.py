"""The share asked of each component."""

from collections.abc import Mapping, Sequence

from prunelab.budgets.ranking import share
from prunelab.core.errors import Refusal


def shares(sparsity: object, components: Sequence[str]) -> dict[str, float]:
    """Component -> share in [0, 1): one number for all, or a mapping (a component left out keeps all).

    Refuses a mapping that names a component without chosen units.
    """
    if isinstance(sparsity, Mapping):
        unknown = [name for name in sparsity if name not in components]
        if unknown:
            raise Refusal(
                f"sparsity names {unknown[0]!r}: components with chosen units are {', '.join(components)}"
            )
    return {component: share(sparsity, component) for component in components}
