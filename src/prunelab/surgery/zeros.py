"""Zeros that stay zero while the rest is trained."""

from collections.abc import Mapping

from torch import Tensor, nn

from prunelab.surgery.carried import zeroed_in


def kept_weights(component: nn.Module) -> dict[str, Tensor]:
    """Parameter -> bool of its shape, False at the zeros, for those that lost single weights."""
    return {name: component.get_parameter(name).detach() != 0 for name in zeroed_in(component)}


def hold_zeros(component: nn.Module, kept: Mapping[str, Tensor]) -> None:
    """From here on the weights that are not ``kept`` are zero, and get no gradient.

    The weights require gradients. Without a gradient AdamW leaves a zero where it is, its decay and an
    average over steps included.
    """
    for name, keep in kept.items():
        weight = component.get_parameter(name)
        weight.data.masked_fill_(~keep.to(weight.device), 0)
        weight.register_hook(_Hold(keep))


class _Hold:
    """Multiplies a gradient by a keep-mask, wherever it lies."""

    def __init__(self, keep: Tensor) -> None:
        self.keep = keep

    def __call__(self, gradient: Tensor) -> Tensor:
        self.keep = self.keep.to(gradient.device)
        return gradient * self.keep
