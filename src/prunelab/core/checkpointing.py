"""Forward passes that keep their inputs alone and run again on the way back.

What ``torch.utils.checkpoint`` does by hooks on every tensor that autograd saves, which on small models takes
longer than the arithmetic. Here a pass is one node of the graph: forwards it runs without a graph, backwards
once more with one. So that autograd knows where gradients go, the first pass is looked at: the leaves that
it reaches (weights, gates' logits) are inputs of every pass's node, beside the arguments.

As many of the last passes as fit into a given room keep what they computed instead, as autograd does: the way
back begins with them, and has let go of them before it runs the others again. The arithmetic is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

Run = Callable[..., Any]


class Passes:
    """The passes of one sampling, all of which reach the same leaves; ``room``: bytes for activations."""

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.leaves: list[Tensor] | None = None
        self.size = self.first = 0  # bytes that a pass would keep, and passes of the first step

    def __call__(self, run: Run, arguments: dict[str, Any], step: int, left: int) -> Any:
        """``run(**arguments)``, differentiable once; ``left``: steps yet to go through, with this one."""
        if not torch.is_grad_enabled():
            return run(**arguments)
        once = Pass(run, arguments)
        if self.leaves is None:
            once.answer, self.leaves, self.size = once.explored()
        self.first += step == 0
        once.keeps = step > 0 and left * self.first * self.size <= self.room
        outputs = _Node.apply(once, *once.tensors, *self.leaves)
        return once.unflattened(outputs)


class Pass:
    """One pass as a function of its arguments' tensors; it ``keeps`` its graph, or runs again."""

    def __init__(self, run: Run, arguments: dict[str, Any]) -> None:
        self.run = run
        self.values, self.shape = tree_flatten(arguments)
        self.places = [i for i, value in enumerate(self.values) if isinstance(value, Tensor)]
        self.tensors = [self.values[i] for i in self.places]
        self.others: list[Any] = []
        self.keeps = False
        self.answer: list[Tensor] | None = None
        self.graph: tuple[list[Tensor], list[Tensor]] | None = None  # what went in, what came out
        self.outlined: TreeSpec | None = None
        self.values = [None if i in self.places else value for i, value in enumerate(self.values)]
        self.device, self.dtype = self.tensors[0].device.type, torch.get_default_dtype()
        self.autocast = torch.is_autocast_enabled(self.device), torch.get_autocast_dtype(self.device)

    def outputs(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors of what the pass gives for these."""
        values = list(self.values)
        for place, tensor in zip(self.places, tensors, strict=True):
            values[place] = tensor
        with self._as_before():
            given = self.run(**tree_unflatten(values, self.shape))
        found, self.outlined = tree_flatten(given)
        self.others = [None if isinstance(each, Tensor) else each for each in found]
        return [each for each in found if isinstance(each, Tensor)]

    def unflattened(self, outputs: Sequence[Tensor]) -> Any:
        """What the pass gives, with these tensors in it."""
        assert self.outlined is not None
        left = iter(outputs)
        return tree_unflatten([next(left) if each is None else each for each in self.others], self.outlined)

    def there(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What the pass gives on the way there, without a graph."""
        if self.answer is not None:
            found, self.answer = self.answer, None
            return found
        if not self.keeps:
            return self.outputs(tensors)
        self.graph = self.again(tensors, [each.requires_grad for each in tensors])
        return [each.detach() for each in self.graph[1]]

    def again(self, tensors: Sequence[Tensor], wanted: Sequence[bool]) -> tuple[list[Tensor], list[Tensor]]:
        """The pass with a graph of its own, from ``tensors`` cut off theirs."""
        given = [_cut(each, want) for each, want in zip(tensors, wanted, strict=False)]
        with torch.enable_grad():
            return given, self.outputs(given)

    def explored(self) -> tuple[list[Tensor], list[Tensor], int]:
        """The outputs' tensors without a graph, the leaves beside the arguments, and the bytes of a graph."""
        saved, size = WeakSet[Any](), 0

        def count(tensor: Tensor) -> None:  # nobody goes back this way, so nothing is kept for it
            nonlocal size
            storage = tensor.untyped_storage()
            size += 0 if storage in saved else storage.nbytes()
            saved.add(storage)

        with torch.autograd.graph.saved_tensors_hooks(count, lambda nothing: nothing):
            given, outputs = self.again(self.tensors, [each.requires_grad for each in self.tensors])
        leaves, answer = reached(outputs, given), [each.detach() for each in outputs]
        del given, outputs
        # What is there without the pass, such as weights, costs nothing more.
        return answer, leaves, size - sum(each.nbytes() for each in saved)

    @contextmanager
    def _as_before(self) -> Iterator[None]:
        """The precision of the way there, in which noise is drawn, too.

        No cache, in which weights without gradients would be found.
        """
        (enabled, dtype), now = self.autocast, torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with torch.autocast(self.device, dtype=dtype, enabled=enabled, cache_enabled=False):
                yield
        finally:
            torch.set_default_dtype(now)


class _Node(torch.autograd.Function):
    """A pass in the graph."""

    @staticmethod
    def forward(ctx: Any, once: Pass, *inputs: Tensor) -> tuple[Tensor, ...]:
        count = len(once.tensors)
        ctx.once, ctx.leaves = once, inputs[count:]
        ctx.save_for_backward(*inputs[:count])
        outputs = once.there(inputs[:count])
        once.tensors = []  # kept by the graph, which lets go of them
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        once, wanted = ctx.once, ctx.needs_input_grad[1:]
        given, outputs = once.graph or once.again(ctx.saved_tensors, wanted)
        once.graph = None
        known = [*given, *ctx.leaves]
        assert not reached(outputs, known), "every step reaches what the first one does"
        pairs = [(o, g) for o, g in zip(outputs, gradients, strict=True) if o.requires_grad]
        asked = [each for each, want in zip(known, wanted, strict=True) if want]
        found = iter(
            torch.autograd.grad(
                [output for output, _ in pairs],
                asked,
                [gradient for _, gradient in pairs],
                retain_graph=True,  # gates may have been made outside, once for all passes
                allow_unused=True,
            )
        )
        return (None, *(next(found) if want else None for want in wanted))


def reached(outputs: Sequence[Tensor], known: Sequence[Tensor]) -> list[Tensor]:
    """The leaves behind these outputs' graph that are not among the known ones."""
    seen, waiting, leaves = set[Any](), [each.grad_fn for each in outputs], list[Tensor]()
    passed = {id(each) for each in known}
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in passed:
            leaves.append(leaf)
        waiting += [each for each, _ in node.next_functions]
    return leaves


def _cut(tensor: Tensor, requires_grad: bool) -> Tensor:
    return tensor.detach().requires_grad_(requires_grad)
