"""The summary of a job: one run that holds choices, quality and costs together, also when all was stored."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prunelab.artifacts import address
from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity
from prunelab.report.labels import DESCRIBED, label, text
from prunelab.report.schema import ACHIEVED, COUNTS, Row
from prunelab.stages.bench import Bench
from prunelab.stages.evaluate import as_values
from prunelab.stages.measured import Measured
from prunelab.stages.stability import numbers as agreement
from prunelab.stages.time import timed
from prunelab.tracking.summary_run import Summary

VERSION = 1
TAGGED = ("task", "model", "scorer", "granularity", "budget", "recovery")
BYTES = ("peak_memory_bytes", "disk_bytes")
CHOICES = (*TAGGED, "bypass", "settings", "seed")
COSTS = {
    "parameters": Quantity("Parameters", "lower"),
    "macs": Quantity("MACs", "lower"),
    "latency_ms": Quantity("Latency", "lower", unit="ms"),
    "peak_memory_bytes": Quantity("Peak memory", "lower", unit="bytes"),
}


def summarise(
    bench: Bench,
    rows: Sequence[Row],
    found: Sequence[Measured],
    previews: Sequence[Preview],
    told: Mapping[str, Quantity],
) -> Summary:
    """Log one run of what a job came to: ``rows`` as the report has them, of what was ``found``, in order.

    Numbers stand under ``STATE/NAME``, a metric's interval under ``STATE/NAME/low`` and ``STATE/NAME/high``;
    ``told`` is what the metrics say of themselves. The run is known by all that was chosen and found.
    """
    chosen = choices(rows)
    addresses = {each.state.name: each.state.address for each in found}
    samples = {f"{each.state.name} samples": each.samples.address for each in found}
    parents = {**addresses, **samples}
    output = address("report", bench.model.name, VERSION, chosen=chosen, parents=parents)
    last = rows[-1]
    tags = [text(last, field) for field in TAGGED]
    config = {**chosen, "addresses": addresses}
    name = label(last, DESCRIBED) or bench.model.name
    values, quantities = dict(numbers(found)), dict(described(rows, told))
    summary = Summary(config, parents, output, name, tags, values, quantities, previews)
    summary.log(bench.tracker)
    return summary


def choices(rows: Sequence[Row]) -> dict[str, Any]:
    """What was chosen, by name: that of the last row, which was made by every choice."""
    last = rows[-1]
    return {
        **{field: last.get(field) for field in CHOICES},
        **{field: last["sparsity"][field] for field in ("requested", "of")},
        "states": [row["state"] for row in rows],
    }


def numbers(found: Sequence[Measured]) -> Iterator[tuple[str, float]]:
    """Everything that was found out about the states, one number per name."""
    for each in found:
        state, cost = each.state, each.cost
        values: dict[str, float | None] = dict(as_values(each.metrics))
        floors = {name: one.floor for name, one in each.metrics.items() if one.floor is not None}
        values |= {f"{name}/floor": floor.value for name, floor in floors.items()}
        values |= {f"sparsity/{name}": state.achieved.get(name) for name in ACHIEVED}
        values |= {name: cost[name] for name in (*COUNTS, *BYTES)}
        values |= timed(cost)
        values |= {f"hours/{name}": hours for name, hours in state.hours.items()}
        values |= agreement(state.stability)
        yield from ((f"{state.name}/{name}", value) for name, value in values.items() if value is not None)


def described(rows: Sequence[Row], told: Mapping[str, Quantity]) -> Iterator[tuple[str, Quantity]]:
    """What each metric and each cost says of itself, under the names of every state."""
    for row in rows:
        state, cost = row["state"], row["cost"]
        yield from ((f"{state}/{name}", told[name]) for name in row["metrics"] if name in told)
        for name, quantity in COSTS.items():
            held = cost[name]
            names = [f"{name}/{at}" for at in held] if isinstance(held, Mapping) else [name]
            yield from ((f"{state}/{each}", quantity) for each in names if held is not None)
