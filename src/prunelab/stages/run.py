"""The main job: score, prune, recover, evaluate, and one row per evaluated model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prunelab.core.protocols import Budget, Model, ObservingScorer, Scorer
from prunelab.core.units import Unit
from prunelab.costs.component import model_costs
from prunelab.costs.disk import disk_bytes
from prunelab.engine.trainer import check_hardware
from prunelab.report import Curve, Line, Picture
from prunelab.scorers.random import Random
from prunelab.stages.bench import Artifact, Bench, Part, Write
from prunelab.stages.evaluate import Evaluation, as_rows, evaluate, load_samples, sample
from prunelab.stages.prune import make_plan, prune
from prunelab.stages.recover import Recovery, recover
from prunelab.stages.score import check_scorer, choose_units, score
from prunelab.stages.time import Timing, measure
from prunelab.tracking.protocol import Run

VERSION = 1
PICTURES = 10  # prompts shown side by side in the report


@dataclass(frozen=True)
class Request:
    """One run: every factor of the cross product, chosen.

    ``sparsity`` is a share or one per component; ``recovery`` is None where nothing is trained.
    ``metrics`` are the settings of the task's metrics, ``labels`` what a report row calls the choices.
    """

    scorer: Part[Scorer | ObservingScorer]
    granularity: Sequence[str]
    components: Sequence[str]
    budget: Part[Budget]
    sparsity: Any
    recovery: Part[Recovery] | None
    evaluation: Part[Evaluation]
    timing: Part[Timing]
    metrics: list[dict[str, Any]]
    labels: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class State:
    """A model to be evaluated: its name, itself, its address, where it is saved, what was removed.

    history: the losses of its recovery, one mapping with ``step`` per logged step.
    """

    name: str
    model: Model
    address: str
    folder: Path
    achieved: Mapping[str, float]
    history: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class Outcome:
    """What a run hands to the report."""

    rows: list[dict[str, Any]]
    pictures: list[Picture]
    curves: list[Curve]
    models: Mapping[str, Path]


def run(bench: Bench, request: Request) -> Outcome:
    """Everything, from the store where it is there; refuses what cannot be before work starts."""
    units = check(bench, request)
    states = [dense(bench)]
    states += pruned(bench, request, units)
    return report(bench, request, states)


def check(bench: Bench, request: Request) -> list[Unit]:
    """The units, after refusing whatever can be refused without a forward pass.

    The budget is tried on random scores: whether it can be met does not depend on them.
    """
    check_scorer(request.scorer, request.granularity)
    units = choose_units(bench, request.granularity, request.components)
    bench.task.check(request.evaluation.value.examples)
    check_hardware(bench.hardware)
    make_plan(bench.model, units, Random().score(bench.model, units), request.budget, request.sparsity)
    return units


def dense(bench: Bench) -> State:
    """The dense model, saved as the pruned ones are, so that sizes on disk compare."""

    def make(partial: Path, run: Run) -> Write:
        return lambda folder: bench.model.save(folder / "model", {})

    identity = {"model": bench.model.fingerprint()}
    saved = bench.artifact("dense", bench.model.name, VERSION, identity, make)
    nothing = dict.fromkeys(("elements", "parameters", "nonzeros", "macs"), 0.0)
    return State("dense", bench.model, saved.address, saved.path / "model", nothing)


def pruned(bench: Bench, request: Request, units: Sequence[Unit]) -> list[State]:
    """The pruned model and, with a recovery, the recovered one."""
    scores = score(bench, request.scorer, units)
    artifact = prune(bench, scores, units, request.budget, request.sparsity)
    summary = artifact.json("pruned.json")
    states = [_reopened(bench, "pruned", artifact, summary["achieved"])]
    if request.recovery is not None:
        student = _reopened(bench, "student", artifact, summary["achieved"]).model
        healed = recover(bench, artifact.address, student, summary["structures"], request.recovery)
        recovered = _reopened(bench, "recovered", healed, summary["achieved"])
        states.append(replace(recovered, history=healed.json("history.json")))
    return states


def _reopened(bench: Bench, name: str, artifact: Artifact, achieved: Mapping[str, float]) -> State:
    """A saved model as every rank reads it back."""
    folder = artifact.path / "model"
    return State(name, bench.model.reopened(folder), artifact.address, folder, achieved)


def _training_curve(history: Sequence[Mapping[str, float]]) -> Curve:
    """The losses of a recovery over its steps."""
    steps = [entry["step"] for entry in history]
    names = [name for name in history[0] if name != "step"]
    lines = [Line(name, steps, [entry[name] for entry in history]) for name in names]
    return Curve("Recovery", "step", "loss", lines)


def report(bench: Bench, request: Request, states: Sequence[State]) -> Outcome:
    """Evaluate every state against the dense one and put each into a row."""
    samples = {state.name: sample(bench, state.model, state.address, request.evaluation) for state in states}
    timing = measure(
        bench, {s.name: s.model for s in states}, {s.name: s.address for s in states}, request.timing
    )
    rows = []
    for state in states:
        measured = evaluate(bench, samples[state.name], samples["dense"], request.evaluation, request.metrics)
        rows.append(_row(request, state, as_rows(measured), {**_cost(state), **timing[state.name]}))
    pictures = [_picture(bench, state.name, samples[state.name]) for state in states]
    curves = [_training_curve(state.history) for state in states if state.history]
    return Outcome(rows, pictures, curves, {state.name: state.folder for state in states})


def _row(
    request: Request, state: State, metrics: Mapping[str, Any], cost: Mapping[str, Any]
) -> dict[str, Any]:
    """One row of ``report.json``; the dense model was not chosen by any scorer."""
    chosen = dict(request.labels)
    if state.name == "dense":
        chosen |= dict.fromkeys(("scorer", "granularity", "budget", "recovery"))
    if state.name == "pruned":
        chosen |= {"recovery": None}
    asked = {"requested": request.sparsity, "of": request.budget.value.of}
    if state.name == "dense":
        asked = dict.fromkeys(asked)
    return {
        "state": state.name,
        **chosen,
        "seed": request.seed,
        "sparsity": {**asked, **state.achieved},
        "metrics": metrics,
        "cost": cost,
        "address": state.address,
    }


def _cost(state: State) -> dict[str, Any]:
    """Costs in total at the top level, and each component's below."""
    costs = model_costs(state.model)
    total = costs.pop("total")
    return {**total, "disk_bytes": disk_bytes(state.folder), "components": costs}


def _picture(bench: Bench, state: str, samples: Artifact) -> Picture:
    """The first samples of the first seed: the same prompts and noise for every state."""
    media = load_samples(samples).media[0, :PICTURES]
    prompts = bench.task.test(len(media)).prompts
    return Picture(state, "", media.permute(0, 2, 3, 1).numpy(), prompts)
