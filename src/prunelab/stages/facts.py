"""What a row says beside its numbers: how they were measured, what went where, what it was made from."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from safetensors import safe_open

from prunelab.artifacts.lineage import lineage
from prunelab.costs.machine import hardware
from prunelab.engine.placement import device
from prunelab.stages.bench import Bench
from prunelab.stages.measured import Measured
from prunelab.stages.request import Request
from prunelab.stages.state import State

DIGITS = 8  # of a hash that tells things apart for people
SIDES = ("down_blocks", "mid_block", "up_blocks")  # in the order in which a U-Net runs them


def conditions(bench: Bench, request: Request) -> dict[str, str]:
    """What a row's numbers depend on beside what was pruned: rows compare where all of it agrees."""
    knobs = request.evaluation.value
    settings = [dict(request.evaluation.settings), request.metrics, bench.hardware.arithmetic]
    drawn = f"{knobs.seeds} x {knobs.samples} samples, {knobs.steps} steps, guidance {knobs.guidance:g}"
    machine, data = hardware(device(bench.hardware)), getattr(bench.task, "data", bench.task)
    where = machine.cpu if machine.device == "cpu" else machine.device
    return {
        "weights": bench.model.fingerprint()[:DIGITS],
        "data": f"{type(data).__name__} {_said(bench.task.fingerprint())}",
        "judge": bench.task.judge_fingerprint()[:DIGITS] or "none",
        "evaluation": f"{drawn} ({_hash(settings)})",
        "hardware": f"{where}, {machine.threads} thread{'s' if machine.threads > 1 else ''}",
    }


def facts(bench: Bench, measured: Measured, request: Request) -> dict[str, Any]:
    """The fields of a row that follow from what it is of: its control, layers, stable scores, addresses."""
    state = measured.state
    found: dict[str, Any] = {"addresses": lineage(bench.store, measured.samples.address)}
    if state.name != "dense" and getattr(type(request.scorer.value), "control", False):
        found["control"] = True
    if state.name == "pruned":
        found["layers"] = layers(bench, state)
    if state.stability:
        found["stability"] = dict(state.stability)
    return found


def layers(bench: Bench, state: State) -> dict[str, float]:
    """The removed share of every unit of the pruned state, in the network's order."""
    with safe_open(state.folder.parent / "plan.safetensors", "pt") as plan:
        shares = {name: 1 - plan.get_tensor(name).float().mean().item() for name in plan.keys()}  # noqa: SIM118
    places = {name: _children(component) for name, component in bench.model.components.items()}
    return {name: round(shares[name], 4) for name in sorted(shares, key=lambda unit: _place(unit, places))}


def _children(component: Any) -> dict[str, int]:
    """The order of a component's direct children; the sides of a U-Net share the first one's place."""
    named = {name: place for place, (name, _) in enumerate(component.named_children())}
    first = min((named[name] for name in SIDES if name in named), default=0)
    return {name: first if name in SIDES else place for name, place in named.items()}


def _place(unit: str, places: Mapping[str, Mapping[str, int]]) -> tuple[Any, ...]:
    """Component, granularity, and where in the network: numbers count as numbers."""
    component, _, rest = unit.partition("/")
    path, _, granularity = rest.rpartition("#")
    child = places.get(component, {}).get(path.partition(".")[0], 0)
    natural = [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]
    return component, granularity, child, natural


def _said(fingerprint: str) -> str:
    """A fingerprint, its long hashes cut."""
    return re.sub(r"[0-9a-f]{12,}", lambda found: found[0][:DIGITS], fingerprint)


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:DIGITS]
