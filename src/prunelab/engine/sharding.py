"""Weights that ranks share out between them while they train (FSDP2), and that are whole again afterwards.

Each rank holds its part of every weight, of the gradients and of what the optimiser keeps; a layer's weights
are gathered when it runs. The module stays the object that it was: what is put back at the end are its own
parameters, so whoever held the module or one of them sees the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from prunelab.core.errors import Refusal

if TYPE_CHECKING:  # torch takes a second to import them, and most jobs have no use for them
    from torch.distributed.device_mesh import DeviceMesh

# What fully_shard adds to a module beside its parameters and its class.
HOOKS = (
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks", "_forward_hooks_with_kwargs"),
    *("_forward_hooks_always_called", "_state_dict_pre_hooks", "_state_dict_hooks"),
    *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
)


@runtime_checkable
class Called(Protocol):
    """An objective that runs its trained module by calling it, as sharded weights need: no part by itself."""

    called: bool


def shares(objective: Any) -> bool:
    """Whether what the objective trains may be shared out; the rest is trained as whole copies."""
    return isinstance(objective, Called) and objective.called


def shared_out(module: nn.Module) -> bool:
    """Whether a module's weights are: no rank can run it by itself then."""
    from torch.distributed.tensor import DTensor

    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def local(tensor: Tensor) -> Tensor:
    """The part that this rank has, of a tensor that is shared out."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of it, on every rank; to be asked for by all of them."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def alike(tensor: Tensor, other: Tensor) -> Tensor:
    """A tensor that is the same on every rank, where ``other`` is, and shared out as that is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(other, DTensor):
        return tensor.to(other.device)
    if isinstance(tensor, DTensor):
        return tensor
    return distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements)


@dataclass(frozen=True)
class _Before:
    """A module as it was."""

    module: nn.Module
    kind: type[nn.Module]
    parameters: Mapping[str, nn.Parameter | None]
    hooks: Mapping[str, Mapping[Any, Any]]


class Sharding:
    """The sharing out of one module's weights, and its undoing."""

    def __init__(self, module: nn.Module) -> None:
        if any(parameter._backward_hooks for parameter in module.parameters()):
            raise Refusal("trainer=fsdp cannot hold the zeros of single weights: use trainer=ddp")
        self.module = module
        self._before: Sequence[_Before] = ()

    def over(self, mesh: "DeviceMesh") -> None:
        """Share the weights out over the ranks of a mesh, stage by stage, as each list of layers has them."""
        from torch.distributed.fsdp import fully_shard

        self._before = [_remembered(each) for each in self.module.modules()]
        lists = [child for child in self.module.children() if isinstance(child, nn.ModuleList)]
        for stage in (layer for child in lists for layer in child):
            fully_shard(stage, mesh=mesh)
        fully_shard(self.module, mesh=mesh)
        for was in self._before:
            for parameter in was.parameters.values():
                if parameter is not None:
                    parameter.data = torch.empty(0, dtype=parameter.dtype)  # or every rank would hold it all

    @torch.no_grad()
    def undo(self) -> None:
        """Make the module what it was, with the weights of now, on the CPU; by all ranks together."""
        now = [{name: _whole(held) for name, held in was.module._parameters.items()} for was in self._before]
        for was, values in zip(self._before, now, strict=True):
            was.module.__class__ = was.kind
            for name, hooks in was.hooks.items():
                getattr(was.module, name).clear()
                getattr(was.module, name).update(hooks)
            for name, parameter in was.parameters.items():
                was.module._parameters[name] = parameter
                if parameter is not None:
                    parameter.data = values[name]
                    parameter.grad = None
        self._before = ()


def _whole(parameter: nn.Parameter | None) -> Tensor:
    return torch.empty(0) if parameter is None else whole(parameter.detach()).cpu()


def _remembered(module: nn.Module) -> _Before:
    hooks = {name: dict(getattr(module, name)) for name in HOOKS}
    return _Before(module, type(module), dict(module._parameters), hooks)
