"""A copy of a module's structure that holds no numbers."""

import copy
from collections import OrderedDict
from collections.abc import Iterator

from torch import Tensor, nn


def meta_copy(module: nn.Module) -> nn.Module:
    """The structure of ``module`` on the meta device, in evaluation mode and without its hooks.

    No tensor is copied in real memory, so the copy of a model of any size is free, and neither the
    module nor what its hooks write to is touched. Tensors shared within the module stay shared.
    """
    memo: dict[int, object] = {id(tensor): _on_meta(tensor) for tensor in _tensors(module)}
    for child in module.modules():
        hooks = (held for name, held in vars(child).items() if "_hooks" in name)
        memo.update({id(held): OrderedDict() for held in hooks if isinstance(held, OrderedDict)})
    return copy.deepcopy(module, memo).eval()


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and the tensors that modules hold as plain attributes."""
    yield from module.parameters()
    yield from module.buffers()
    for child in module.modules():
        yield from (value for value in vars(child).values() if isinstance(value, Tensor))


def _on_meta(tensor: Tensor) -> Tensor:
    meta = tensor.detach().to("meta")
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(meta, requires_grad=tensor.requires_grad)
    return meta
