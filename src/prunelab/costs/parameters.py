"""How many numbers a module holds, and how many of them are not zero."""

from torch import nn


def parameters(module: nn.Module) -> int:
    """Elements of the parameters; a tensor used in several places counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def nonzeros(module: nn.Module) -> int:
    """Elements of the parameters that are not zero; a tensor used in several places counts once.

    Where there are shapes alone (the meta device), every element counts as one that is not zero.
    """
    return sum(each.numel() if each.is_meta else int(each.count_nonzero()) for each in module.parameters())
