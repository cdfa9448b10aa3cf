"""Zeros that stay zero while the rest is trained."""

from collections.abc import Sequence

from torch import Tensor, nn

from prunelab.core.scores import Plan
from prunelab.core.units import Unit


def hold_zeros(component: nn.Module, units: Sequence[Unit], plan: Plan) -> None:
    """From here on the single weights that ``plan`` removed from ``component`` are zero, and get no gradient.

    ``units`` are those of this component; the weights require gradients. Without a gradient AdamW leaves
    a zero where it is, its decay and an average over steps included.
    """
    for unit in units:
        if unit.matrix is not None and not plan[unit.name].all():
            for piece in unit.slices:
                weight = component.get_parameter(piece.parameter)
                keep = plan[unit.name].reshape(weight.shape)
                weight.data.masked_fill_(~keep.to(weight.device), 0)
                weight.register_hook(_Hold(keep))


class _Hold:
    """Multiplies a gradient by a keep-mask, wherever it lies."""

    def __init__(self, keep: Tensor) -> None:
        self.keep = keep

    def __call__(self, gradient: Tensor) -> Tensor:
        self.keep = self.keep.to(gradient.device)
        return gradient * self.keep
