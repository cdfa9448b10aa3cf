"""Zeros that a plan writes into weights that keep their place."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit, by_component


def single_weights(units: Sequence[Unit]) -> bool:
    """Whether the units are single weights, all of them."""
    return all(unit.matrix is not None for unit in units)


def zeroed(component: nn.Module, units: Sequence[Unit], plan: Mapping[str, Tensor]) -> int:
    """How many non-zeros of ``component`` the plan makes zero; ``units`` are single weights."""
    named = dict(component.named_parameters())
    return sum(_nonzeros(view, ~plan[unit.name]) for unit in units for view in unit.views(named))


def _nonzeros(view: Tensor, gone: Tensor) -> int:
    """Of the places ``gone``; all of them, where there are shapes alone."""
    return int(gone.sum()) if view.is_meta else int(view[gone].count_nonzero())


def zeros(units: Sequence[Unit], plan: Mapping[str, Tensor]) -> dict[str, int]:
    """Component -> how many single weights the plan makes zero; empty where units are something else."""
    return {
        component: sum(int((~plan[unit.name]).sum()) for unit in members)
        for component, members in by_component(units).items()
        if single_weights(members)
    }


def nominal(parameters: Mapping[str, int], sparsity: Sparsity) -> float:
    """The total sparsity as the study of Stable Diffusion 2 counts it (Ramesh & Zhao, arXiv 2411.15113).

    The share asked of each component's prunable weights, as if it were one of all its parameters:
    sum of share x parameters over the sum of parameters. The real zeros are fewer.
    """
    asked = sum(sparsity.share(name) * count for name, count in parameters.items())
    return asked / sum(parameters.values())
