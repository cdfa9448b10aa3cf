"""Proof that what is offered can be done: each kind of module is gated and slimmed once before its units are.

A kind is a class with its settings, its shapes and those of what it was given. Its parameters are replaced by
noise, since a layer that starts from zero would hide everything, and so are the numbers that it was given.
Where numbers cannot be computed, or only slowly, it is seen on the meta device that what is left runs and has
the right shapes.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only

from prunelab.core.draws import generator
from prunelab.core.units import Gate, Unit
from prunelab.costs.meta_copy import meta_copy
from prunelab.surgery.gating import gated
from prunelab.surgery.slimming import slim
from prunelab.walkers.calls import FAILURES, Call, Calls

ROUND_OFF = 1e-4  # of the largest output: what is wrong is wrong by more than a hundredth
LARGE = 4_000_000  # parameters of a module, or numbers that it is given, beyond which nothing is computed
PLACE = "place"


@dataclass(frozen=True)
class Verdict:
    """What was seen of a kind. refused: why it is not offered, empty where it is.

    unit: how it is offered, with paths relative to its place.
    """

    refused: str
    unit: Unit


_VERDICTS: dict[tuple[str, ...], Verdict] = {}


def proven(units: Iterable[Unit], calls: Calls) -> list[Unit]:
    """The units that can be removed as they say, some of them with less than they said."""
    offered = []
    for unit in units:
        verdict = _verdict(unit, calls)
        if verdict is None:
            offered.append(unit)
        elif verdict.refused:
            calls.recording.refusals[unit.granularity, unit.path] = verdict.refused
        else:
            seen = verdict.unit
            offered.append(replace(unit, instead=seen.instead, runs=seen.runs))
    return offered


def _verdict(unit: Unit, calls: Calls) -> Verdict | None:
    """What is known of a unit's kind, found out where it is new; None where nothing can be computed.

    A module that gives its caller more than that uses is tried within its caller.
    """
    place = _place(unit)
    found = _within(place, unit, calls)
    if found is not None and found.refused == RESHAPED and place:
        return _within(place.rpartition(".")[0], unit, calls) or found
    return found


def _within(place: str, unit: Unit, calls: Calls) -> Verdict | None:
    call = calls.get(place)
    module = calls.root.get_submodule(place)
    if call is None:
        return None
    device = "cpu" if _small(module, call) else "meta"
    relative = _moved(unit, place)
    words = (device, type(module).__module__, str(module), _settings(module))
    kind = (*words, repr(relative), _shapes(call))
    if kind not in _VERDICTS:
        _VERDICTS[kind] = _tried(_Around(module, device), relative, call)
    return _VERDICTS[kind]


def _place(unit: Unit) -> str:
    """The innermost module that holds all that a unit touches."""
    modules = [
        *(gate.module for gate in unit.gates),
        *(piece.parameter.rpartition(".")[0] for piece in unit.slices),
        *(counter.module for counter in unit.counters),
        unit.path,
    ]
    parts = [path.split(".") for path in modules]
    shared = 0
    while all(len(each) > shared and each[shared] == parts[0][shared] for each in parts):
        shared += 1
    return ".".join(parts[0][:shared])


def _small(module: nn.Module, call: Call) -> bool:
    tensors = tensors_of((call.args, call.kwargs))
    values = [each for each in tensors if not (each.is_floating_point() or each.is_complex())]
    parameters = list(module.parameters())
    return (
        not any(each.is_meta for each in (*parameters, *values))
        and sum(each.numel() for each in parameters) <= LARGE
        and sum(each.numel() for each in tensors) <= LARGE
    )


def _settings(module: nn.Module) -> str:
    """What no representation says: flags and counts of the modules inside, and what runs their attentions."""
    plain = (bool, int, float, str, tuple, type(None))
    kept = [
        {name: value for name, value in vars(each).items() if isinstance(value, plain)}
        | {"processor": type(getattr(each, "processor", None)).__qualname__}
        for each in module.modules()
    ]
    return repr(kept)


def _shapes(call: Call) -> str:
    return repr(
        tree_map_only(Tensor, lambda each: (tuple(each.shape), each.dtype), (call.args, dict(call.kwargs)))
    )


def _moved(unit: Unit, place: str) -> Unit:
    """The unit as one of :class:`_Around`."""

    def moved(path: str) -> str:
        inner = path[len(place) :].removeprefix(".") if place else path
        return f"{PLACE}.{inner}" if inner else PLACE

    def gate(each: Gate) -> Gate:
        return replace(each, module=moved(each.module))

    return replace(
        unit,
        component=PLACE,
        path=moved(unit.path),
        host=PLACE,
        layer="",
        slices=tuple(replace(each, parameter=moved(each.parameter)) for each in unit.slices),
        gate=gate(unit.gate),
        more_gates=tuple(map(gate, unit.more_gates)),
        counters=tuple(replace(each, module=moved(each.module)) for each in unit.counters),
    )


class _Around(nn.Module):
    """A module in float32, alone: on the CPU with noise for its parameters, or on the meta device."""

    def __init__(self, module: nn.Module, device: str) -> None:
        super().__init__()
        if device == "meta":
            self.place = meta_copy(module).float()
            return
        self.place = copy.deepcopy(module).to("cpu").float().eval().requires_grad_(False)
        random = generator(0, 0, "proof")
        for parameter in self.place.parameters():
            spread = parameter.shape[1:].numel() ** -0.5 if parameter.ndim > 1 else 0.3
            start = 1.0 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0.0
            parameter.copy_(start + spread * torch.randn(parameter.shape, generator=random))

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next((each.device for each in self.place.parameters()), torch.device("cpu"))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the module."""
        return self.place(*args, **kwargs)


@torch.no_grad()
def _tried(around: _Around, unit: Unit, call: Call) -> Verdict:
    random, device = generator(0, 0, "inputs"), around.device

    def drawn(given: Tensor) -> Tensor:
        if device.type == "meta" or not (given.is_floating_point() or given.is_complex()):
            return (given.float() if given.is_floating_point() else given).to(device)
        dtype = given.dtype if given.is_complex() else torch.float32
        return torch.randn(given.shape, generator=random, dtype=dtype)

    args, kwargs = tree_map_only(Tensor, drawn, (call.args, dict(call.kwargs)))

    def run(module: nn.Module) -> Any:
        return module(*args, **kwargs)

    try:
        run(around)
    except FAILURES:
        return Verdict("", unit)  # it cannot be run alone
    half = torch.arange(unit.elements) % 2 == 0
    if unit.elements > 1:
        fault = _differs(around, unit, half, run)
        if fault and (unit.exact or not fault.startswith(DIFFERENT)):
            return Verdict(fault, unit)
    return _emptied(around, unit, run)


def _emptied(around: _Around, unit: Unit, run: Callable[[nn.Module], Any]) -> Verdict:
    """How the last element may go: as the unit says, or with its input added, or not at all."""
    nothing = torch.zeros(unit.elements, dtype=torch.bool)
    fault = ""
    for candidate in _candidates(unit):
        fault = _differs(around, candidate, nothing, run)
        if not fault:
            return Verdict("", candidate)
    return Verdict("" if unit.elements > 1 else fault, replace(unit, instead=None, runs=1))


def _candidates(unit: Unit) -> list[Unit]:
    if unit.runs:
        return []
    if unit.instead is None or unit.instead.becomes != "bias":
        return [unit]
    other = replace(unit.instead, residual=not unit.instead.residual)
    return [unit, replace(unit, instead=other)]


RESHAPED = "slimmed it gives another shape"
DIFFERENT = "gated and slimmed it differs"


def _differs(around: _Around, unit: Unit, keep: Tensor, run: Callable[[nn.Module], Any]) -> str:
    """Why gating by ``keep`` is not slimming by it; empty where it is, to round-off."""
    try:
        with gated({PLACE: around}, [unit], {unit.name: keep.float().to(around.device)}):
            simulated = run(around)
        performed = run(slim(around, [unit], {unit.name: keep}))
    except FAILURES as error:
        return f"it does not run without some: {' '.join(str(error).split())[:80]}"
    pairs = list(zip(tensors_of(simulated), tensors_of(performed), strict=False))
    if not pairs or any(one.shape != other.shape for one, other in pairs):
        return RESHAPED
    if around.device.type == "meta":
        return ""
    off = max(distance(one, other) for one, other in pairs)
    return f"{DIFFERENT} by {off:.1%}" if not off <= ROUND_OFF else ""


def tensors_of(output: Any) -> list[Tensor]:
    """The tensors of whatever a module returned, in their order."""
    return [each for each in tree_flatten(output)[0] if isinstance(each, Tensor)]


def distance(one: Tensor, other: Tensor) -> float:
    """The largest difference as a share of the largest number; numbers that are not finite have to agree."""
    finite = one.isfinite()
    if not torch.equal(finite, other.isfinite()):
        return float("inf")
    if not bool(finite.any()):
        return 0.0
    off, scale = (one - other)[finite].abs().max(), one[finite].abs().max()
    return float(off) / max(float(scale), 1e-6)
