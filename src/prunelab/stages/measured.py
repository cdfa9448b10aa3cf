"""What is measured of every state of a model: metrics against the dense one, costs, latency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunelab.core.estimates import Estimate
from prunelab.costs.saved_size import disk_bytes
from prunelab.evaluation.evaluation import Evaluation
from prunelab.evaluation.timing import Timing
from prunelab.stages.bench import Artifact, Bench, Part
from prunelab.stages.cost import compressed, costs, dense_costs
from prunelab.stages.evaluate import evaluate, sample
from prunelab.stages.state import State
from prunelab.stages.time import measure


@dataclass(frozen=True)
class Measured:
    """A state with its metrics by name, its costs as a row of the report has them, and its samples."""

    state: State
    metrics: Mapping[str, Estimate]
    cost: Mapping[str, Any]
    samples: Artifact


def measured(
    bench: Bench,
    states: Sequence[State],
    evaluation: Part[Evaluation],
    timing: Part[Timing],
    metrics: list[dict[str, Any]],
    single: bool,
) -> list[Measured]:
    """Every state, the dense one first among them; ``metrics`` are the settings of the task's metrics.

    ``single``: weights were pruned one by one, so it is said how far the saved models shrink without loss.
    """
    samples = {state.name: sample(bench, state.model, state.address, evaluation) for state in states}
    addresses = {state.name: state.address for state in states}
    times = measure(bench, {state.name: state.model for state in states}, addresses, timing)
    found = []
    for state in states:
        own = samples[state.name]
        cost = {**_cost(bench, state, single), **times[state.name]}
        values = evaluate(bench, own, samples["dense"], evaluation, metrics)
        found.append(Measured(state, values, cost, own))
    return found


def _cost(bench: Bench, state: State, single: bool) -> dict[str, Any]:
    """Costs in total at the top level, and each component's below."""
    dense = state.model is bench.model
    found = dense_costs(bench) if dense else costs(bench, state.model, state.address)
    total = found.pop("total")
    return {
        **total,
        "disk_bytes": disk_bytes(state.folder),
        "compressed_bytes": compressed(bench, state.folder, state.address) if single else None,
        "components": found,
    }
