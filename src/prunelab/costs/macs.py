"""Multiply-accumulates of one forward pass, counted from shapes alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

from prunelab.costs.answering import Answering
from prunelab.costs.meta_copy import meta_copy
from prunelab.costs.shapes import answer

FLOPS_PER_MAC = 2

_aten = torch.ops.aten
_LAYERS = {
    _aten.linear,
    _aten.addmm,
    _aten.conv1d,
    _aten.conv2d,
    _aten.conv3d,
    _aten.conv_transpose1d,
    _aten.conv_transpose2d,
    _aten.conv_transpose3d,
    _aten.convolution,
}


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one forward pass of one example batch.

    total: every matrix product and convolution, attention's two products included.
    without_attention: convolutions and linear layers only, as most published numbers count.
    by_module: module path as in ``named_modules()`` ("" is the whole) -> the part of ``total`` spent
        inside that module and its children, over all its calls. A weight that a parent uses without
        calling the module it lies in counts for the parent.
    """

    total: int
    without_attention: int
    by_module: Mapping[str, int]


def macs(module: nn.Module, example_inputs: Mapping[str, Any]) -> Macs:
    """Count the MACs of ``module(**example_inputs)``.

    The forward runs on the meta device, on a copy of the structure: it costs neither memory nor
    arithmetic, and ``module`` is not touched. Tensors in ``example_inputs``, nested or not, may lie on
    any device; the count is for their batch, so pass a batch of one for MACs per sample.
    A forward that reads a value (whether a mask hides anything) is answered as for a prompt that fills its
    place.
    """
    model = meta_copy(module)
    inputs = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), dict(example_inputs))
    counter = _Counter()
    spent = _count_by_call(model, counter)
    # The fused attention kernels have no entry in torch's table of FLOPs on every device; MATH has. What is
    # entered last is asked first, so the counter sees whole linear layers.
    with sdpa_kernel(SDPBackend.MATH), Answering(), counter:
        model(**inputs)
    return Macs(
        total=counter.total // FLOPS_PER_MAC,
        without_attention=counter.layers // FLOPS_PER_MAC,
        by_module={path: _inside(child, spent) // FLOPS_PER_MAC for path, child in model.named_modules()},
    )


def none_of(module: nn.Module) -> Macs:
    """The MACs of a module that is not run."""
    return Macs(0, 0, dict.fromkeys((path for path, _ in module.named_modules()), 0))


def _count_by_call(model: nn.Module, counter: "_Counter") -> dict[nn.Module, int]:
    """FLOPs spent in the calls of each module that is called, filled in while ``model`` runs.

    The methods named ``forward`` are wrapped, not hooked, because a hook misses the modules whose
    ``forward`` is called by name.
    """
    spent: dict[nn.Module, int] = {}

    def counted(child: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(forward)
        def call(*args: Any, **kwargs: Any) -> Any:
            before = counter.total
            output = forward(*args, **kwargs)
            spent[child] = spent.get(child, 0) + counter.total - before
            return output

        return call

    for child in model.modules():
        child.forward = counted(child, child.forward)
    return spent


def _inside(module: nn.Module, spent: Mapping[nn.Module, int]) -> int:
    """FLOPs of a module's calls; of its children's where it is only a list of them."""
    if module in spent:
        return spent[module]
    return sum(_inside(child, spent) for child in module.children())


class _Counter(TorchDispatchMode):
    """FLOPs of what runs inside, by torch's formulas: in total, and in convolutions and linear layers.

    Those layers are known by the function that is called, whatever torch takes it apart into: a linear
    layer on a strided input becomes the same batched product as attention.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = self.layers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the function and count it, or the parts that it is made of."""
        total, layers = self.total, self.layers
        output = self._counted(func, func._overloadpacket, args, kwargs or {})
        if func._overloadpacket in _LAYERS:
            self.layers = layers + self.total - total  # the parts' own entries were the same FLOPs
        return output

    def _counted(self, func: Any, packet: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        short = answer(packet, args, kwargs)
        if short is not None:
            self.total += short.flops
            return short.result
        if packet in flop_registry:
            output = func(*args, **kwargs)
            self.total += flop_registry[packet](*args, **kwargs, out_val=output)
            return output
        with self:
            output = func.decompose(*args, **kwargs)
        return func(*args, **kwargs) if output is NotImplemented else output
