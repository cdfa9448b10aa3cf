"""Time: latency and peak memory of every state of a model, interleaved in one run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from prunelab.core.protocols import Model
from prunelab.core.units import Unit, by_component
from prunelab.costs.latency import latency
from prunelab.costs.machine import hardware
from prunelab.costs.memory import peak_memory
from prunelab.costs.timetable import timetable
from prunelab.engine import ranks
from prunelab.engine.placement import device
from prunelab.evaluation.timing import Timing
from prunelab.stages.bench import Bench, Part, Write, write_json
from prunelab.tracking.protocol import Run

VERSION = 1


def measure(
    bench: Bench, models: Mapping[str, Model], identities: Mapping[str, str], timing: Part[Timing]
) -> dict[str, Any]:
    """State -> ``latency_ms`` per setting and ``peak_memory_bytes``, on rank 0's device alone.

    Keyed by the hardware; states are timed in turn within one run, so that their ratio means something.
    """

    def make(partial: Path, run: Run) -> Write:
        measured = _measure(models, timing.value, where) if ranks.rank() == 0 else {}
        run.conclude(
            {
                f"{state}/{name}": value
                for state, own in measured.items()
                for name, value in timed(own).items()
            }
        )
        return lambda folder: write_json(folder / "timing.json", measured)

    where = device(bench.hardware)
    inputs = {"timing": dict(timing.settings), "hardware": hardware(where).as_json()}
    artifact = bench.artifact("time", bench.model.name, VERSION, inputs, make, dict(identities))
    return dict(artifact.json("timing.json"))


def timed(own: Mapping[str, Any]) -> dict[str, float]:
    """What was timed of a state as numbers by name; those that nothing measured are left out."""
    times = {f"latency_ms/{at}": figures["median"] for at, figures in own["latency_ms"].items()}
    times |= {f"latency_ms/{at}/p95": figures["p95"] for at, figures in own["latency_ms"].items()}
    peak = own["peak_memory_bytes"]
    return times if peak is None else {**times, "peak_memory_bytes": peak}


def timetables(bench: Bench, units: Sequence[Unit]) -> tuple[dict[str, dict[str, float]], str]:
    """Milliseconds inside the units' hosts per component, batch 1, and the artifact's address.

    Measured once per model and hardware: an artifact of its own, which a latency budget reads.
    """

    def make(partial: Path, run: Run) -> Write:
        measured = {name: _timetable(bench, name, members) for name, members in groups.items()}
        run.table(
            "timetable",
            ("component", "host", "milliseconds"),
            [(name, host, spent) for name, own in measured.items() for host, spent in own.items()],
        )
        return lambda folder: write_json(folder / "timetable.json", measured)

    groups = by_component(units)
    inputs = {
        "model": bench.model.fingerprint(),
        "units": [unit.name for unit in units],
        "hardware": hardware(device(bench.hardware)).as_json(),
    }
    artifact = bench.artifact("timetable", bench.model.name, VERSION, inputs, make)
    return dict(artifact.json("timetable.json")), artifact.address


def _timetable(bench: Bench, component: str, units: Sequence[Unit]) -> dict[str, float]:
    if ranks.rank():
        return {}
    bench.model.to(device(bench.hardware))
    paths = [path for unit in units for path in (unit.host, *unit.spared)]
    return timetable(bench.model.components[component], bench.model.example_inputs(component, 1), paths)


@torch.no_grad()
def _measure(models: Mapping[str, Model], timing: Timing, where: torch.device) -> dict[str, Any]:
    results: dict[str, Any] = {state: {"latency_ms": {}} for state in models}
    for batch in timing.batches:
        calls = {state: _call(model, batch, where) for state, model in models.items()}
        for state, times in latency(calls, where, timing.warmup, timing.repeats).items():
            figures = {"median": times.median_ms, "p95": times.p95_ms}
            results[state]["latency_ms"][f"denoiser_b{batch}"] = figures
    for model in models.values():
        model.to(torch.device("cpu"))
    for state, model in models.items():  # one at a time: all that lies on the device counts
        results[state]["peak_memory_bytes"] = peak_memory(_call(model, max(timing.batches), where), where)
        model.to(torch.device("cpu"))
    return results


def _call(model: Model, batch: int, where: torch.device) -> Callable[[], object]:
    model.components["denoiser"].to(where)  # alone: whole models of every state may not fit together
    inputs = model.example_inputs("denoiser", batch)
    return lambda: model.components["denoiser"](**inputs)
