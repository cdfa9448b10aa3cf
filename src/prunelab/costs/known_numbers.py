"""The few numbers that tensors on the meta device are known to hold.

How many tokens a mask leaves, how many of them each expert of a layer is given, how high and wide a picture
is: a forward pass reads such numbers to cut its tensors by them. They are few, and follow from shapes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

FEW = 4096  # numbers of one tensor; larger ones are not looked at
_NAME = "_prunelab_numbers"
_aten = torch.ops.aten


def numbers_of(tensor: Tensor) -> Tensor | None:
    """What ``tensor`` is known to hold, on the CPU; None where that is not known."""
    found: Tensor | None = vars(tensor).get(_NAME)
    return None if found is None or _forgotten(found) else found


def know(tensor: Tensor, numbers: Tensor) -> None:
    """Let ``tensor`` hold these ``numbers``, as long as nothing is written into it or a view of it."""
    setattr(tensor, _NAME, numbers)


def _forget(numbers: Tensor) -> None:
    """Views of a tensor share the storage of its numbers, as they share its own."""
    numbers.untyped_storage().resize_(0)


def _forgotten(numbers: Tensor) -> bool:
    return numbers.numel() > 0 and numbers.untyped_storage().nbytes() == 0


class Numbers:
    """Follows what tensors on the meta device hold from function to function."""

    def __init__(self) -> None:
        self._choices = 1  # among how many the last ``topk`` chose

    def note(self, func: Any, args: Sequence[Any], given: Mapping[str, Any], made: Any) -> None:
        """Know what ``func`` has ``made`` holds, where that follows from what is known of ``args``."""
        packet = func._overloadpacket
        if packet is _aten.topk:
            self._choices = args[0].shape[args[2] if len(args) > 2 else -1]
        elif packet is _aten.full and made.is_meta and made.numel() <= FEW:
            know(made, torch.full(made.shape, args[1], dtype=made.dtype, device="cpu"))
        elif packet is _aten.sum and numbers_of(args[0]) is None and _whole(args[0]) and made.numel() <= FEW:
            count = args[0].numel() // max(1, made.numel())
            know(made, torch.full(made.shape, count, dtype=made.dtype, device="cpu"))
        elif packet in _PASSING:
            _pass_on(func, args, given, made)
        elif args and isinstance(args[0], Tensor):
            held = numbers_of(args[0])
            if held is not None and func._schema.is_mutable:
                _forget(held)

    def counted(self, tensor: Tensor, weights: Any = None, minlength: int = 0) -> Any:
        """``bincount`` of what was chosen: each of the choices equally often, as far as that goes."""
        if weights is not None:
            return NotImplemented
        bins, numbers = max(self._choices, minlength), tensor.numel()
        made = tensor.new_empty(bins, dtype=torch.int64)
        know(made, torch.tensor([len(range(each, numbers, bins)) for each in range(bins)], device="cpu"))
        return made


def _whole(tensor: Tensor) -> bool:
    """Whether it is a mask, or counts something: of the ones in it, which are presumed, the sum is known."""
    return not (tensor.is_floating_point() or tensor.is_complex())


def _pass_on(func: Callable[..., Any], args: Sequence[Any], given: Mapping[str, Any], made: Any) -> None:
    """Run the function on the CPU as well, where all that it is given is known."""
    tensors = [leaf for leaf in tree_leaves([args, dict(given)]) if isinstance(leaf, Tensor)]
    if any(numbers_of(tensor) is None for tensor in tensors):
        return
    own, more = tree_map_only(Tensor, numbers_of, (tuple(args), dict(given)))
    numbers = func(*own, **{key: value for key, value in more.items() if key != "device"})
    for tensor, held in zip(_all(made), _all(numbers), strict=True):
        if tensor.is_meta and held.numel() <= FEW:
            know(tensor, held)


def _all(made: Any) -> Iterator[Tensor]:
    yield from (leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor))


_PASSING = {
    *(_aten.view, _aten._unsafe_view, _aten.unsqueeze, _aten.squeeze, _aten.expand, _aten.repeat),
    *(_aten.unbind, _aten.select, _aten.slice, _aten._to_copy, _aten.clone, _aten.alias),
    *(_aten.add, _aten.sub, _aten.mul, _aten.div, _aten.floor_divide, _aten.cumsum),
    *(_aten.sum, _aten.max, _aten.min, _aten.amax, _aten.amin, _aten.bitwise_not, _aten.logical_not),
}
