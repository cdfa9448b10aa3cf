"""How many numbers a module holds, and how many of them are not zero."""

from torch import nn


def parameters(module: nn.Module) -> int:
    """Elements of the parameters; a tensor used in several places counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def nonzeros(module: nn.Module) -> int:
    """Elements of the parameters that are not zero; a tensor used in several places counts once.

    Raises ValueError on the meta device, where there are no values to look at.
    """
    if any(parameter.is_meta for parameter in module.parameters()):
        raise ValueError("non-zeros cannot be counted on the meta device: load the weights first")
    return sum(int(parameter.count_nonzero()) for parameter in module.parameters())
