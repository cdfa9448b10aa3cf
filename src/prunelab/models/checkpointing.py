"""Forward passes that keep their inputs alone and run again on the way back.

What ``torch.utils.checkpoint`` does by hooks on every tensor that autograd saves, which on small models takes
longer than the arithmetic. Here a pass is one node of the graph: forwards it runs without a graph, backwards
once more with one. So that autograd knows where gradients go, the first pass is looked at: the leaves that
it reaches (weights, gates' logits) are inputs of every pass's node, beside the arguments.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

Run = Callable[..., Any]


class Passes:
    """The passes of one sampling, all of which reach the same leaves."""

    def __init__(self) -> None:
        self.leaves: list[Tensor] | None = None

    def __call__(self, run: Run, arguments: dict[str, Any]) -> Any:
        """``run(**arguments)``, differentiable once."""
        if not torch.is_grad_enabled():
            return run(**arguments)
        once = Pass(run, arguments)
        answer = None
        if self.leaves is None:
            answer, self.leaves = once.explored()
        outputs = _Node.apply(once, answer, *once.tensors, *self.leaves)
        return once.unflattened(outputs)


class Pass:
    """One pass as a function of its arguments' tensors."""

    def __init__(self, run: Run, arguments: dict[str, Any]) -> None:
        self.run = run
        self.values, self.shape = tree_flatten(arguments)
        self.places = [i for i, value in enumerate(self.values) if isinstance(value, Tensor)]
        self.tensors = [self.values[i] for i in self.places]
        self.others: list[Any] = []
        self.outlined: TreeSpec | None = None
        self.values = [None if i in self.places else value for i, value in enumerate(self.values)]
        self.device = self.tensors[0].device.type
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

    def explored(self) -> tuple[list[Tensor], list[Tensor]]:
        """The outputs' tensors without a graph, and the leaves that gradients reach beside the arguments."""
        given = [_cut(tensor, tensor.requires_grad) for tensor in self.tensors]
        # Nobody goes back this way, so nothing is kept for it.
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: None, lambda nothing: nothing):
            outputs = self.outputs(given)
        return [each.detach() for each in outputs], reached(outputs, given)

    def _as_before(self) -> AbstractContextManager[Any]:
        """The precision of the way there; no cache, in which weights without gradients would be found."""
        enabled, dtype = self.autocast
        return torch.autocast(self.device, dtype=dtype, enabled=enabled, cache_enabled=False)


class _Node(torch.autograd.Function):
    """A pass in the graph."""

    @staticmethod
    def forward(ctx: Any, once: Pass, answer: list[Tensor] | None, *inputs: Tensor) -> tuple[Tensor, ...]:
        count = len(once.tensors)
        ctx.once, ctx.leaves = once, inputs[count:]
        ctx.save_for_backward(*inputs[:count])
        outputs = once.outputs(inputs[:count]) if answer is None else answer
        once.tensors = []  # kept by the graph, which lets go of them
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[2:]
        given = [_cut(each, want) for each, want in zip(ctx.saved_tensors, wanted, strict=False)]
        with torch.enable_grad():
            outputs = ctx.once.outputs(given)
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
        return (None, None, *(next(found) if want else None for want in wanted))


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
