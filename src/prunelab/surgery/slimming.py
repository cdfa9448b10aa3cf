"""Slimming: perform a plan physically.

The plan becomes one more step of the component's *structure* (which modules are resized, which become what),
which the portable rebuild reads, and a state dict with the removed slices left out, or zero where single
weights go: their matrix keeps its shape. Slimming in memory and reopening from disk take the same two steps,
so that saved and loaded models cannot differ.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunelab.core.scores import Plan
from prunelab.core.units import Unit
from prunelab.surgery.carried import carry
from prunelab.surgery.portable import apply_step
from prunelab.surgery.pruned_structure import WEIGHTS, WIDTHS, Kept, plain_norm


def slim(component: nn.Module, units: Sequence[Unit], plan: Plan) -> nn.Module:
    """A smaller copy of ``component`` without what ``plan`` removes, which carries how it was pruned.

    ``units`` are those of this component, which may have been pruned before. The component itself is left
    alone; parameters that stay keep their values bitwise.
    """
    step = step_of(component, units, plan)
    small = _hollow(component)
    apply_step(small, step)
    state = {**component.state_dict(), **_bypasses(units, plan), **_places(component, units, plan)}
    removed = removed_indices(units, plan)
    kept = {name: _remaining(state[name], removed.get(name, {})) for name in small.state_dict()}
    lost = _single(units, plan)
    for name, keep in lost.items():
        kept[name].masked_fill_(~keep.reshape(kept[name].shape).to(kept[name].device), 0)
    small.load_state_dict(kept, strict=True, assign=True)
    tie(small, component)
    trainable = {name: parameter.requires_grad for name, parameter in component.named_parameters()}
    for name, parameter in small.named_parameters():
        parameter.requires_grad_(trainable.get(name, False))
    return carry(small, component, step, lost)


def tie(small: nn.Module, component: nn.Module, moved: Callable[[str], str] = str) -> None:
    """Let parameters of ``small`` be one tensor where those of ``component`` are: a table of words, say.

    moved: where in ``small`` a name of ``component`` lies.
    """
    left = dict(small.named_parameters(remove_duplicate=False))
    first: dict[int, str] = {}
    for name, parameter in component.named_parameters(remove_duplicate=False):
        known, own = first.setdefault(id(parameter), moved(name)), moved(name)
        if known != own and {known, own} <= left.keys():
            path, _, leaf = own.rpartition(".")
            setattr(small.get_submodule(path), leaf, left[known])


def _hollow(component: nn.Module) -> nn.Module:
    """A copy whose parameters have shapes alone: those that stay are never held a third time."""
    made: dict[int, Any] = {
        id(parameter): nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
        for parameter in component.parameters()
    }
    for module in component.modules():  # whose hooks, of which there are none, take longest to copy
        unused = (each for each in vars(module).values() if type(each) is OrderedDict and not each)
        made.update({id(each): OrderedDict() for each in unused})
    return copy.deepcopy(component, made)


def _single(units: Sequence[Unit], plan: Plan) -> dict[str, Tensor]:
    """Parameter -> which of its weights stay, of those that lose single ones: these become zero."""
    losing = [unit for unit in units if unit.matrix is not None and not plan[unit.name].all()]
    return {piece.parameter: plan[unit.name] for unit in losing for piece in unit.slices}


def step_of(component: nn.Module, units: Sequence[Unit], plan: Plan) -> dict[str, dict[str, Any]]:
    """What a plan changes, as JSON: a step of :mod:`prunelab.surgery.portable`."""
    modules: dict[str, dict[str, Any]] = {}
    for unit in units:
        keep = plan[unit.name]
        if not unit.keeps_runs_equal(keep):
            raise ValueError(
                f"{unit.name} has {unit.runs} runs that must keep equally many elements, at least one"
            )
        if unit.matrix is None and not keep.all():
            modules.update(_changed(component, unit, keep, modules))
    return dict(sorted(modules.items()))


def _changed(
    component: nn.Module, unit: Unit, keep: Tensor, modules: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What becomes of the modules behind a unit; ``modules`` are those that were changed before."""
    if unit.gate.at == "entries":  # others rely on the width
        return {unit.gate.module: {"becomes": "scattered", "out_features": int(keep.sum())}}
    resized = _resized(component, unit, int(keep.sum()), modules)
    if unit.instead is None or keep.any():
        return resized
    outside = {path: entry for path, entry in resized.items() if not f"{path}.".startswith(f"{unit.path}.")}
    return {unit.path: unit.instead.entry(), **outside}


def _resized(
    component: nn.Module, unit: Unit, kept: int, modules: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The new widths of the modules behind a unit, and the attributes that count its elements."""
    entries: dict[str, dict[str, Any]] = {}
    for piece in unit.slices:
        path, _, kind = piece.parameter.rpartition(".")
        if kind == "weight" or isinstance(component.get_submodule(path), Kept):
            entry = entries.setdefault(path, dict(modules.get(path, {})))
            attribute = _width(component.get_submodule(path), piece.dim)
            width = entry.get(attribute, component.get_parameter(piece.parameter).shape[piece.dim])
            entry[attribute] = width - (unit.elements - kept) * piece.block
    for counter in unit.counters:
        entry = entries.setdefault(counter.module, dict(modules.get(counter.module, {})))
        entry[counter.attribute] = kept * counter.block // counter.among
    return entries


def _width(module: nn.Module, dim: int) -> str:
    """The attribute that holds the size of a weight's dimension."""
    widths = next((names for kind, names in WIDTHS.items() if isinstance(module, kind)), None)
    if widths is None and plain_norm(module):
        return WEIGHTS
    return (widths or WIDTHS[nn.Linear])[dim]


def _remaining(tensor: Tensor, removed: Mapping[int, Tensor]) -> Tensor:
    """A copy of ``tensor`` without the indices that go, by dimension."""
    tensor = tensor.detach()
    for dim, gone in removed.items():
        index = torch.ones(tensor.shape[dim], dtype=torch.bool)
        index[gone] = False
        tensor = tensor.index_select(dim, index.nonzero().flatten().to(tensor.device))
    return tensor if removed else tensor.clone()


def _bypasses(units: Sequence[Unit], plan: Plan) -> dict[str, Tensor]:
    """The weights of the bypasses that come in the place of removed operators."""
    return {
        f"{unit.path}.{name}": tensor
        for unit in units
        if unit.gate.bypass is not None and not plan[unit.name].all()
        for name, tensor in unit.gate.bypass.state_dict().items()
    }


def _places(component: nn.Module, units: Sequence[Unit], plan: Plan) -> dict[str, Tensor]:
    """Where the entries that stay go in an output that keeps its width."""
    found = {}
    for unit in units:
        if unit.gate.at == "entries" and not plan[unit.name].all():
            stay = plan[unit.name].nonzero().flatten()
            before = getattr(component.get_submodule(unit.gate.module), "places", None)
            found[f"{unit.gate.module}.places"] = stay if before is None else before[stay.to(before.device)]
    return found


def removed_indices(units: Sequence[Unit], plan: Plan) -> dict[str, dict[int, Tensor]]:
    """Parameter -> dimension -> the indices that go, for units whose elements are slices of parameters."""
    gone: dict[str, dict[int, list[Tensor]]] = {}
    for unit in units:
        keep = plan[unit.name]
        if keep.all() or unit.gate.at == "output" or unit.matrix is not None:
            continue
        for piece in unit.slices:
            starts = (~keep).nonzero().flatten()[:, None] * piece.block + piece.offset
            indices = (starts + torch.arange(piece.block)).flatten()
            gone.setdefault(piece.parameter, {}).setdefault(piece.dim, []).append(indices)
    return {name: {dim: torch.cat(parts) for dim, parts in dims.items()} for name, dims in gone.items()}
