"""Shapes without numbers, where code asks for numbers all the same.

On the meta device a computation costs nothing, but it ends where Python asks a tensor for what it holds: an
attention mask whether it is all ones, a scheduler for its noise levels on the CPU. What is wanted there are
the shapes that come after, so the answers are presumed: a mask hides nothing, two tensors are equal, a number
is 1 unless it follows from shapes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from prunelab.costs.known_numbers import FEW, Numbers, know, numbers_of
from prunelab.costs.shapes import Shortcuts

_aten = torch.ops.aten


class Answering:
    """Within it, tensors on the meta device answer what code asks of their numbers.

    ``bool(tensor)`` is True and ``tensor.item()`` is 1; ``torch.equal`` is True; ``nonzero`` finds, and a
    mask selects, every element; a tensor that is copied to the CPU is full of ones there; parts of sizes that
    do not add up are equal ones. Numbers that are known are not presumed: sizes that were put into a tensor,
    how many elements a mask has in all, how often ``bincount`` finds each of what ``topk`` chose among, such
    as the experts of a layer (equally often). All else has the shapes that it would have without it.
    Gradients are not followed: what is made within it is made in inference mode; autocast changes nothing.
    """

    def __init__(self) -> None:
        self._modes = ExitStack()

    def __enter__(self) -> None:
        for mode in (torch.inference_mode(), _autocast_left_out(), _Answers(), _Lists()):
            self._modes.enter_context(mode)

    def __exit__(self, *error: Any) -> None:
        self._modes.__exit__(*error)


class _Answers(Shortcuts):
    """Functions whose result would be numbers, or a shape that depends on them."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = Numbers()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The function's result, with the numbers that it is known to hold."""
        made = super().__torch_dispatch__(func, types, args, kwargs)
        self._numbers.note(func, args, kwargs or {}, made)
        return made

    def known(self, func: Any, args: Sequence[Any], given: dict[str, Any]) -> Any:
        """What is presumed of a function of a tensor without numbers."""
        if func is _aten.bincount.default:
            return self._numbers.counted(*args, **given)
        presumed = _ANSWERS[func](*args, **given) if func in _ANSWERS else NotImplemented
        return super().known(func, args, given) if presumed is NotImplemented else presumed


class _Lists(TorchFunctionMode):
    """``torch.tensor`` of a list reads it before any dispatcher is asked."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Put presumed numbers in place of the tensors of a list, and know what becomes of it."""
        given = kwargs or {}
        if func is not torch.tensor or not (args and isinstance(args[0], list | tuple)):
            return func(*args, **given)
        read = tree_map_only(Tensor, Tensor.tolist, args[0])
        made = func(read, *args[1:], **given)
        if made.is_meta:
            know(made, torch.tensor(read, dtype=made.dtype, device="cpu"))
        return made


@contextmanager
def _autocast_left_out() -> Iterator[None]:
    """``torch.autocast`` knows no meta device, and there is nothing on it that it could cast."""
    plain = torch.autocast.__init__

    @wraps(plain)
    def prepared(self: torch.autocast, device_type: str, *args: Any, **given: Any) -> None:
        if device_type == "meta":
            plain(self, "cpu", enabled=False)
        else:
            plain(self, device_type, *args, **given)

    torch.autocast.__init__ = prepared  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.autocast.__init__ = plain  # type: ignore[method-assign]


def _item(tensor: Tensor) -> Any:
    return _held(tensor).item()


def _held(tensor: Tensor) -> Tensor:
    """On the CPU, what the tensor is known or else presumed to hold."""
    known = numbers_of(tensor)
    return torch.ones(tensor.shape, dtype=tensor.dtype, device="cpu") if known is None else known


def _true(*_: Tensor) -> bool:
    return True


def _nonzero(tensor: Tensor) -> Tensor:
    return tensor.new_empty((_found(tensor), tensor.dim()), dtype=torch.int64)


def _copied(tensor: Tensor, **given: Any) -> Any:
    device = given.get("device")
    if device is None or torch.device(device).type == "meta":
        return NotImplemented
    return _held(tensor).to(device, given.get("dtype") or tensor.dtype, copy=True)


def _masked(tensor: Tensor, indices: Sequence[Tensor | None]) -> Any:
    mask = indices[0]
    if len(indices) > 1 or mask is None or mask.dtype != torch.bool:
        return NotImplemented
    return tensor.new_empty((_found(mask), *tensor.shape[mask.dim() :]))


def _found(mask: Tensor) -> int:
    """How many elements a mask selects; that it was presumed to select all is known from then on."""
    known = numbers_of(mask)
    if known is not None:
        return int(known.count_nonzero())
    if mask.numel() <= FEW:
        know(mask, _held(mask))
    return mask.numel()


def _split(tensor: Tensor, sizes: Sequence[int], dim: int = 0) -> Any:
    """Parts whose sizes were read from numbers do not add up: presume them equal."""
    length = tensor.shape[dim]
    return NotImplemented if sum(sizes) == length else tensor.split(-(-length // len(sizes)), dim)


def _masked_put(tensor: Tensor, indices: Sequence[Tensor | None], *values: Any) -> Any:
    return NotImplemented if _masked(tensor, indices) is NotImplemented else tensor


_ANSWERS: dict[Any, Callable[..., Any]] = {
    _aten._local_scalar_dense.default: _item,
    _aten.item.default: _item,
    _aten.is_nonzero.default: _true,
    _aten.equal.default: _true,
    _aten.nonzero.default: _nonzero,
    _aten._to_copy.default: _copied,
    _aten.index.Tensor: _masked,
    _aten.split_with_sizes.default: _split,
    _aten.index_put_.default: _masked_put,
}
