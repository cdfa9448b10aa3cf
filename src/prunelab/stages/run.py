"""The main job: score, prune, recover, evaluate, and one row per evaluated model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity
from prunelab.core.units import Unit
from prunelab.costs.zeroed import single_weights
from prunelab.evaluation.evaluation import Evaluation
from prunelab.recovery.recovery import Recovery
from prunelab.report import Curve, Line, frame
from prunelab.report.floors import warnings
from prunelab.stages.allocation import allocation_scores
from prunelab.stages.bench import Artifact, Bench, Part, Write, say
from prunelab.stages.bypass import fit
from prunelab.stages.evaluate import as_rows, load_samples, quantities
from prunelab.stages.facts import conditions, facts
from prunelab.stages.job_summary import summarise
from prunelab.stages.measured import Measured, measured
from prunelab.stages.own_samples import OwnSamples, on_own_samples, without_real
from prunelab.stages.preflight import check
from prunelab.stages.prune import prune
from prunelab.stages.recover import recover
from prunelab.stages.reopened import reopened
from prunelab.stages.request import Request, fitted
from prunelab.stages.score import load_history, score
from prunelab.stages.stability import load_stability
from prunelab.stages.state import State
from prunelab.tracking.protocol import Run
from prunelab.tracking.summary_run import Summary

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
PREVIEWS = 10  # samples shown side by side in the report


@dataclass(frozen=True)
class Outcome:
    """What a run hands to the report, and what of it was logged as one."""

    rows: list[dict[str, Any]]
    previews: list[Preview]
    curves: list[Curve]
    models: Mapping[str, Path]
    facts: Mapping[str, str] = field(default_factory=dict)
    summary: Summary | None = None

    def frame(self) -> "pd.DataFrame":
        """The rows as a pandas DataFrame: see :func:`prunelab.report.data_frame.frame`."""
        return frame(self.rows)

    def joined(self, other: "Outcome") -> "Outcome":
        """Both: what is in the two of them, as the dense model is, once."""
        known = {row["address"] for row in self.rows}
        new = [number for number, row in enumerate(other.rows) if row["address"] not in known]
        rows = self.rows + [other.rows[number] for number in new]
        previews = self.previews + [other.previews[number] for number in new]
        models, facts = {**self.models, **other.models}, {**self.facts, **other.facts}
        return Outcome(rows, previews, self.curves + other.curves, models, facts)


def run(bench: Bench, request: Request) -> Outcome | None:
    """Everything, from the store where it is there; refuses what cannot be before work starts.

    None where the request goes ``until`` an earlier stage: what was made is in the store, for the next job.
    """
    request = fitted(without_real(request, bench.task), bench.model)
    units = check(bench, request)
    bench = on_own_samples(bench, request)
    if request.until == "score":
        scored(bench, request, *fit(bench, units, request.bypass))
    elif request.until is not None:
        recovery = request.recovery if request.until == "recover" else None
        pruned(bench, replace(request, recovery=recovery), units)
    if request.until is not None:
        say(f"until={request.until}: what was made is in the store, the same command without it resumes")
        return None
    states = [dense(bench)]
    states += pruned(bench, request, units)
    asked = {state.name: request for state in states}
    return report(bench, asked, states, single_weights(units))


def dense(bench: Bench) -> State:
    """The dense model, saved as the pruned ones are, so that sizes on disk compare."""

    def make(partial: Path, run: Run) -> Write:
        return lambda folder: bench.model.save(folder / "model")

    identity = {"model": bench.model.fingerprint()}
    saved = bench.artifact("dense", bench.model.name, VERSION, identity, make)
    nothing: dict[str, float | None] = dict.fromkeys(("elements", "parameters", "nonzeros", "macs"), 0.0)
    return State("dense", bench.model, saved.address, saved.path / "model", nothing)


def pruned(bench: Bench, request: Request, units: Sequence[Unit]) -> list[State]:
    """The pruned model and, with a recovery, the recovered one and the control trained from scratch."""
    units, origin = fit(bench, units, request.bypass)
    artifact, scores = in_rounds(bench, request, units, origin)
    states = [pruned_state(bench, artifact, *scores)]
    if request.recovery is not None:
        drawn = request.evaluation.value
        kinds = (False, True) if request.scratch else (False,)
        healed = [recovered(bench, request.recovery, artifact, scratch, drawn) for scratch in kinds]
        states += [replace(state, hours={**states[0].hours, **state.hours}) for state in healed]
    return states


def pruned_state(bench: Bench, artifact: Artifact, *scores: Artifact) -> State:
    """The pruned model, with what its last scores left: the losses of trained ones, how stable others are."""
    spent = [each.hours for each in scores]
    known = [hours for hours in spent if hours is not None]
    hours = {"scoring": sum(known) if len(known) == len(spent) else None}
    state = reopened_state(bench, "pruned", artifact, artifact)
    history, stable = load_history(scores[-1]), load_stability(scores[-1])
    return replace(state, history=history, hours=hours, stability=stable)


def in_rounds(
    bench: Bench, request: Request, units: Sequence[Unit], origin: str
) -> tuple[Artifact, list[Artifact]]:
    """The pruned model after ``rounds`` of scoring and planning, and the scores of every round.

    Each round scores the model with the previous rounds' removals gated, and goes an equal step further
    towards the sparsity; the weights are slimmed by the last plan alone.
    """
    rounds = scored(bench, request, units, origin)
    scores, allocation = rounds[-1]
    made = prune(bench, scores, units, request.budget, request.sparsity, allocation)
    return made, [each for scores, beside in rounds for each in (beside, scores) if each]


def scored(
    bench: Bench, request: Request, units: Sequence[Unit], origin: str
) -> list[tuple[Artifact, Artifact | None]]:
    """The scores of every round, and those that the budget wants beside them."""
    artifact: Artifact | None = None
    every: list[tuple[Artifact, Artifact | None]] = []
    for number in range(1, request.rounds + 1):
        scores = score(bench, request.scorer, units, origin, artifact)
        allocation = allocation_scores(bench, request.budget, units, origin, artifact)
        every.append((scores, allocation))
        if number < request.rounds:
            sparsity = request.sparsity.part(number / request.rounds)
            artifact = prune(bench, scores, units, request.budget, sparsity, allocation)
    return every


def recovered(
    bench: Bench,
    recovery: Part[Recovery],
    artifact: Artifact,
    scratch: bool,
    evaluation: Evaluation | None = None,
) -> State:
    """The pruned model after recovery; with ``scratch``, its shape after the same training from nothing.

    ``evaluation``: how samples are drawn that are logged on the way.
    """
    student = reopened_state(bench, "student", artifact, artifact)
    healed = recover(bench, student, recovery, scratch, evaluation)
    state = reopened_state(bench, "scratch" if scratch else "recovered", healed, artifact)
    return replace(state, history=healed.json("history.json"), hours={"recovery": healed.hours})


def reopened_state(bench: Bench, name: str, artifact: Artifact, pruned: Artifact) -> State:
    """A saved model as every rank reads it back; ``pruned`` says what was removed from it."""
    folder = artifact.path / "model"
    achieved = pruned.json("pruned.json")["achieved"]
    return State(name, reopened(bench.model, folder), artifact.address, folder, achieved)


def _training_curve(state: State) -> Curve:
    """The losses of a training over its steps."""
    steps = [entry["step"] for entry in state.history]
    names = [name for name in state.history[0] if name != "step"]
    lines = [Line(name, steps, [entry[name] for entry in state.history]) for name in names]
    title = "Scores" if state.name == "pruned" else f"Training: {state.name}"
    return Curve(title, "step", "loss", lines)


def report(bench: Bench, asked: Mapping[str, Request], states: Sequence[State], single: bool) -> Outcome:
    """Every state measured against the dense one and put into a row; all in turns, so that times compare.

    ``asked``: by state, what it was made by; all are evaluated alike. ``single``: weights were
    pruned one by one, so it is said how far the saved models shrink without loss.
    """
    how = asked["dense"]
    found = measured(bench, states, how.evaluation, how.timing, how.metrics, single)
    before = bench.model.pruned()
    if before:
        say(f"{' and '.join(before)} had been pruned before: shares are of the model as it was given")
    told = quantities(bench.task.metrics)
    how_measured = conditions(bench, how)
    rows = [row(asked[each.state.name], each, told, before) for each in found]
    for each, made in zip(found, rows, strict=True):
        made |= {"conditions": how_measured, **facts(bench, each, asked[each.state.name])}
        if each.state.name != "dense":
            made["cost"] = {**made["cost"], "dense_latency_ms": found[0].cost["latency_ms"]}
    for line in warnings(rows):
        say(line)
    previews = [_preview(bench, each) for each in found]
    summary = summarise(bench, rows, found, previews, told)
    curves = [_training_curve(state) for state in states if state.history]
    notes = {"examples": bench.task.words} if isinstance(bench.task, OwnSamples) else {}
    return Outcome(rows, previews, curves, {state.name: state.folder for state in states}, notes, summary)


def row(
    request: Request, found: Measured, told: Mapping[str, Quantity], given_pruned: Sequence[str] = ()
) -> dict[str, Any]:
    """One row of ``report.json``; the dense model was not chosen by any scorer.

    ``told``: what the metrics say of themselves. ``given_pruned``: components that had been pruned before,
    so that shares are of what was left of them.
    """
    chosen, state = dict(request.labels), found.state
    if state.name == "dense":
        chosen = {key: chosen[key] for key in ("task", "model") if key in chosen}
        chosen |= dict.fromkeys(("scorer", "granularity", "budget", "recovery"))
    if state.name == "pruned":
        chosen |= {"recovery": None}
    asked: dict[str, Any] = {"requested": request.sparsity.asked, "of": request.sparsity.of}
    if state.name == "dense":
        asked = dict.fromkeys(asked)
    asked |= {"given_pruned": list(given_pruned)} if given_pruned else {}
    return {
        "state": state.name,
        **chosen,
        "seed": request.seed,
        "sparsity": {**asked, **state.achieved},
        "metrics": as_rows(found.metrics),
        "quantities": {name: told[name].as_json() for name in found.metrics if name in told},
        "cost": found.cost,
        "address": state.address,
    }


def _preview(bench: Bench, found: Measured) -> Preview:
    """The first samples of the first seed: the same prompts and noise for every state."""
    media = load_samples(found.samples).media[0, :PREVIEWS]
    return bench.task.preview(found.state.name, media, bench.task.prompts(len(media)))
