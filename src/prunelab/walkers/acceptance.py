"""Whether a component can do without whole modules: tried before they are offered."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from prunelab.core.units import Unit
from prunelab.costs.meta_copy import meta_copy
from prunelab.surgery.gating import gated
from prunelab.surgery.pruned_layers import replacement
from prunelab.walkers.calls import FAILURES, Calls
from prunelab.walkers.proof import ROUND_OFF, distance, tensors_of


def accepted(units: Sequence[Unit], calls: Calls) -> list[Unit]:
    """The units without which the component still runs, and gives what it gives where they are gated.

    A caller may rely on more than a module's outputs.
    """
    recording = calls.recording
    paths = tuple(unit.path for unit in units)
    if recording.device is None or not units:
        return list(units)
    if paths not in recording.accepted:
        lossy = [unit for unit in units if (call := calls.get(unit.path)) is not None and not call.complete]
        whole = [unit for unit in units if unit not in lossy]
        alone = [path for unit in lossy for path in _removable([unit], calls)]
        recording.accepted[paths] = frozenset([*_removable(whole, calls), *alone])
    left = recording.accepted[paths]
    for unit in units:
        if unit.path not in left:
            recording.refusals[unit.granularity, unit.path] = "its caller relies on it"
    return [unit for unit in units if unit.path in left]


def _removable(units: list[Unit], calls: Calls) -> list[str]:
    """Paths of the units that may all go: by halves, where some may not."""
    if not units or _runs_without(units, calls):
        return [unit.path for unit in units]
    if len(units) == 1:
        return []
    middle = len(units) // 2
    return [*_removable(units[:middle], calls), *_removable(units[middle:], calls)]


@torch.no_grad()
def _runs_without(units: Sequence[Unit], calls: Calls) -> bool:
    recording, root = calls.recording, calls.root
    held = (*root.parameters(), *root.buffers()) if calls.numbers else ()
    shared: dict[int, Any] = {id(each): each for each in held}  # the tensors are the component's own
    copied = copy.deepcopy(root, shared) if calls.numbers else meta_copy(root)
    for unit in units:
        assert unit.instead is not None
        parent, _, name = unit.path.rpartition(".")
        module = copied.get_submodule(unit.path)
        setattr(copied.get_submodule(parent), name, replacement(module, unit.instead.entry()))
    try:
        with torch.random.fork_rng(devices=[]):
            performed = tensors_of(copied(**recording.inputs))
    except FAILURES:
        return False
    if not calls.numbers:
        return True
    nothing = torch.zeros(1, device=recording.device)
    with gated({unit.component: root for unit in units}, units, {unit.name: nothing for unit in units}):
        simulated = tensors_of(root(**recording.inputs))
    pairs = list(zip(simulated, performed, strict=False))
    return all(one.shape == other.shape and distance(one, other) <= ROUND_OFF for one, other in pairs)
