"""What some functions of torch return and spend, from the shapes of what they are given.

On the meta device torch runs these as long programs in Python; their answers fit into a line each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten


class Answer(NamedTuple):
    """A function's result on the meta device, and the FLOPs of the matrix products behind it."""

    result: Tensor
    flops: int = 0


def answer(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Answer | None:
    """The answer of an overload packet of ``torch.ops.aten``; None where torch itself has to be asked.

    That is for every function, type and shape that is not plain, so that what torch refuses is refused.
    """
    known = _ANSWERS.get(function)
    return known(*args) if known is not None and not kwargs else None


def _linear(given: Tensor, weight: Tensor, *_: Any) -> Answer | None:
    """Every row of the input meets every row of the weight."""
    if weight.dim() != 2 or given.dim() < 2 or given.shape[-1] != weight.shape[1]:
        return None
    out = len(weight)
    return Answer(_empty(given, *given.shape[:-1], out), 2 * given.numel() * out)


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> Answer | None:
    """Every query meets every key, and their weights every value; a mask saves nothing."""
    batch, width = query.shape[:-2], query.shape[-1]
    if key.shape[:-2] != batch or key.shape[-1] != width or value.shape[:-1] != key.shape[:-1]:
        return None
    products = query.shape[:-1].numel() * key.shape[-2] * (width + value.shape[-1])
    return Answer(_empty(query, *query.shape[:-1], value.shape[-1]), 2 * products)


def _elementwise(*args: Any) -> Answer | None:
    """As large as its first argument, where all tensors are alike."""
    first = args[0]
    if not isinstance(first, Tensor) or not first.is_floating_point():
        return None
    if any(x.shape != first.shape or x.dtype != first.dtype for x in args if isinstance(x, Tensor)):
        return None
    return _packed(first) if first.is_contiguous() else Answer(torch.empty_like(first))


def _packed(given: Tensor, *_: Any) -> Answer:
    return Answer(_empty(given, *given.shape))


def _empty(like: Tensor, *shape: int) -> Tensor:
    """As ``like.new_empty``, which is a program in Python as well."""
    return torch.empty(shape, dtype=like.dtype, device=like.device)


def _softmax(given: Tensor, _dim: int, dtype: torch.dtype | None = None) -> Answer | None:
    return _packed(given) if given.is_floating_point() and dtype in (None, given.dtype) else None


def _dropout(given: Tensor, _p: float, train: bool) -> Answer | None:
    return None if train else Answer(given)


_ANSWERS: dict[Any, Callable[..., Answer | None]] = {
    _aten.linear: _linear,
    _aten.scaled_dot_product_attention: _attention,
    _aten.softmax: _softmax,
    _aten.dropout: _dropout,
    **dict.fromkeys((_aten.group_norm, _aten.layer_norm, _aten.rms_norm), _packed),
    **dict.fromkeys((_aten.silu, _aten.gelu, _aten.relu, _aten.sigmoid, _aten.tanh), _elementwise),
    **dict.fromkeys((_aten.add, _aten.sub, _aten.mul, _aten.div), _elementwise),
}


class Shortcuts(TorchDispatchMode):
    """Within it and inference mode, a forward pass on the meta device takes an eighth of the time.

    Elsewhere torch takes functions such as a linear layer apart before any mode sees them.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The function's result: answered, or put together from its parts, or torch's own."""
        given = kwargs or {}
        if not (args and isinstance(args[0], Tensor) and args[0].is_meta):
            return func(*args, **given)
        known = self.known(func, args, given)
        if known is not NotImplemented:
            return known
        with self:
            parts = func.decompose(*args, **given)
        return func(*args, **given) if parts is NotImplemented else parts

    def known(self, func: Any, args: Sequence[Any], given: dict[str, Any]) -> Any:
        """The answer to a function of a tensor without numbers; NotImplemented where there is none."""
        short = answer(func._overloadpacket, tuple(args), given)
        return NotImplemented if short is None else short.result
