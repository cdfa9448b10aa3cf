"""What was not recognised: nothing that looks like what is asked for is passed over without a word."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from prunelab.core.units import Unit
from prunelab.walkers.calls import Calls
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.walk import known
from prunelab.walkers.whole import inside


@dataclass(frozen=True)
class Missed:
    """Modules of one class that give no units.

    parameters: how many these modules hold together. reason: why they are not offered, as far as it is known.
    """

    kind: str
    count: int
    parameters: int
    reason: str

    def __str__(self) -> str:
        held = f"{self.parameters / 1e6:.1f}M" if self.parameters >= 1e5 else f"{self.parameters:,}"
        return f"{self.kind} x {self.count} ({held} parameters{f': {self.reason}' if self.reason else ''})"


@dataclass(frozen=True)
class Coverage:
    """How many of a component's modules give units of one granularity, and which do not.

    things: what such modules are called in the plural.
    """

    component: str
    granularity: str
    things: str
    found: int
    missed: tuple[Missed, ...]

    def __str__(self) -> str:
        total = self.found + sum(each.count for each in self.missed)
        said = f"{self.component}: {self.granularity} units in {self.found} of {total} {self.things}"
        return f"{said}; not recognised: {', '.join(map(str, self.missed))}" if self.missed else said


def coverage(component: str, root: nn.Module, granularity: str, units: Sequence[Unit]) -> Coverage | None:
    """What of ``root`` gives ``units`` of this granularity; None for one that has no modules of its own."""
    of = known(granularity)
    if of.alike is None:
        return None
    own = {unit.path for unit in units if unit.component == component and unit.granularity == granularity}
    alike = of.alike(root)
    left = [path for path in alike if path not in own and not inside(path, own)]
    calls = Calls(root)
    groups: dict[tuple[str, str], list[int]] = {}
    for path in left:
        module = root.get_submodule(path)
        size = sum(parameter.numel() for parameter in module.parameters())
        groups.setdefault((type(module).__name__, _reason(calls, of, path)), []).append(size)
    missed = (Missed(kind, len(sizes), sum(sizes), reason) for (kind, reason), sizes in groups.items())
    # Operators and blocks have units of other kinds, and units around what is counted here.
    found = [path for path in own if not of.whole or _holds(path, alike)]
    return Coverage(component, granularity, of.things, len(found), tuple(missed))


def _reason(calls: Calls, of: Granularity, path: str) -> str:
    """Why a module gives no units, as far as that is known."""
    recording, call = calls.recording, calls.get(path)
    told = recording.refusals.get((of.name, path), "")
    if told or not of.whole:
        return told or "which of its layers make and which read these cannot be told"
    if call is None:
        return "no call of it was seen"
    if call.streams is None:
        return "nothing can come in the place of what it returns"
    return "" if call.certain else "which of its inputs runs to which output cannot be told"


def missed(
    components: Mapping[str, nn.Module],
    names: Sequence[str],
    granularities: Sequence[str],
    units: Sequence[Unit],
) -> list[Coverage]:
    """What was not recognised in the named components, one entry for each granularity that missed any."""
    found = [coverage(name, components[name], each, units) for name in names for each in granularities]
    return [each for each in found if each is not None and each.missed]


def _holds(path: str, others: Iterable[str]) -> bool:
    return any(f"{each}.".startswith(f"{path}.") for each in others)
