"""Score: importance per element, on the dense model, for any budget and sparsity to read."""

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from prunelab.artifacts import address
from prunelab.core.errors import Refusal
from prunelab.core.observation import Observation
from prunelab.core.protocols import AnyScorer, ObservingScorer, OptimisingScorer, Scorer
from prunelab.core.scores import Plan, Scores, check_scores
from prunelab.core.units import Unit, overlap
from prunelab.engine.observe import observe
from prunelab.engine.optimise import optimise
from prunelab.engine.placement import device, placed
from prunelab.stages.bench import Artifact, Bench, Part, Write, say, tell, write_json, write_tensors
from prunelab.stages.history import History
from prunelab.stages.layers import log_scores
from prunelab.stages.stability import line, load_stability, numbers, stability, write_stability
from prunelab.surgery.gating import gated, gates_of
from prunelab.tracking.protocol import Run
from prunelab.trainers.hardware import Hardware
from prunelab.walkers.coverage import missed

VERSION = 2


def choose_units(
    bench: Bench, granularity: Sequence[str], components: Sequence[str], bypasses: bool = False
) -> list[Unit]:
    """The units to be scored; refuses granularities that overlap or that the components do not have.

    What looks like such units and was not recognised is said, one line for each component and granularity.
    """
    units = bench.model.units(granularity, components, bypasses)
    left = missed(bench.model.components, components, granularity, units)
    found = {unit.granularity for unit in units}
    missing = [name for name in granularity if name not in found]
    if missing:
        why = "; ".join(str(each) for each in left if each.granularity == missing[0])
        raise Refusal(
            f"{bench.model.name} has no {missing[0]} units in {', '.join(components)}{why and f' ({why})'}"
        )
    for each in left:
        say(str(each))
    shared = overlap(units)
    if shared:
        first, second = shared
        raise Refusal(
            f"{first.granularity} and {second.granularity} units overlap (both hold parts of {second.path}): "
            "choose one of them"
        )
    return units


def check_scorer(scorer: Part[AnyScorer], units: Sequence[Unit]) -> None:
    """Refuse what is no scorer, and units that it cannot mean, before any forward pass."""
    if not isinstance(scorer.value, AnyScorer):
        raise Refusal(
            f"scorer={scorer.name} is a {type(scorer.value).__name__} without means, or without "
            "what a scorer has (score, observation and reduce, passes, or objective and read): "
            "see prunelab.core.protocols"
        )
    seen, means = getattr(scorer.value, "components", None), scorer.value.means
    for unit in units:
        if seen is not None and unit.component not in seen:
            raise Refusal(f"scorer={scorer.name} cannot score {unit.component}: it sees {' and '.join(seen)}")
        if not means.holds(unit):
            raise Refusal(
                f"scorer={scorer.name} cannot score granularity={unit.granularity}: it scores {means.words}"
            )


def score(
    bench: Bench,
    scorer: Part[AnyScorer],
    units: Sequence[Unit],
    bypass: str = "none",
    previous: Artifact | None = None,
) -> Artifact:
    """Scores of ``units``: ``scores.safetensors`` maps unit name to float64 of shape (elements,).

    ``bypass`` says where the units' bypasses come from. ``previous`` is the pruned model of the round
    before: what its plan removed is gated off while scoring, and stays the first to go. Trained scores
    have their losses in ``history.json``; an interrupted training resumes at its last checkpoint. Scores of
    samples have in ``stability.json`` how far two halves of these agree, which is said.
    """
    plan = previous.tensors("plan.safetensors") if previous else {}
    parents = {"previous": previous.address} if previous else {}

    def make(partial: Path, run: Run) -> Write:
        history = History(partial / "history.json", run)
        with gated(bench.model.components, units, gates_of(plan, device(bench.hardware))):
            scores = compute(bench, scorer.value, units, partial / "checkpoints", history)
        check_scores(scores, units)
        stable = stability(scores, getattr(scorer.value, "samples", 0), units, plan)
        scores = first_to_go(scores, plan)
        log_scores(run, scores, units)
        run.conclude(numbers(stable))

        def write(folder: Path) -> None:
            write_tensors(folder / "scores.safetensors", scores)
            write_stability(folder, stable)
            if history.entries():
                write_json(folder / "history.json", history.entries())

        return write

    made = bench.artifact("score", scorer.name, VERSION, inputs(bench, scorer, units, bypass), make, parents)
    known = load_stability(made)
    if known:
        tell(line(known))
    return made


def first_to_go(scores: Scores, plan: Plan) -> Scores:
    """The scores with those of removed elements below all others."""
    if not plan:
        return scores
    every = torch.cat([values.flatten() for values in scores.values()])
    floor = min(0.0, float(every.min())) - float(every.max() - every.min()) - 1
    return {name: values.masked_fill(~plan[name], floor) for name, values in scores.items()}


def stored_scores(
    bench: Bench, scorer: Part[AnyScorer], units: Sequence[Unit], bypass: str = "none"
) -> Scores | None:
    """Scores that an earlier run left in the store, or None."""
    if not any(bench.store.root.glob(f"{address('score', scorer.name, VERSION).rpartition('-')[0]}-*")):
        return None  # so that a plan of a model that was never scored reads none of its weights
    where = address("score", scorer.name, VERSION, **inputs(bench, scorer, units, bypass))
    return load_scores(Artifact(where, bench.store.path(where))) if bench.store.valid(where) else None


def load_scores(artifact: Artifact) -> dict[str, Tensor]:
    """The scores of a score artifact."""
    return artifact.tensors("scores.safetensors")


def load_history(artifact: Artifact) -> list[dict[str, float]]:
    """The losses of a score artifact's training; none where nothing was trained."""
    return list(artifact.json("history.json")) if (artifact.path / "history.json").is_file() else []


def inputs(bench: Bench, scorer: Part[AnyScorer], units: Sequence[Unit], bypass: str) -> dict[str, object]:
    """What decides the scores: model, units, the scorer's knobs, and the data if it looks at any."""
    observes = not isinstance(scorer.value, Scorer)
    return {
        "model": bench.model.fingerprint(),
        "units": [unit.name for unit in units],
        "bypass": bypass,
        "scorer": dict(scorer.settings),
        "data": bench.task.fingerprint() if observes else None,
        "precision": bench.hardware.arithmetic if observes else None,
    }


def compute(
    bench: Bench, scorer: AnyScorer, units: Sequence[Unit], checkpoints: Path, history: History
) -> Scores:
    """The scores themselves, on every rank."""
    if isinstance(scorer, Scorer):
        return scorer.score(bench.model, units)
    calibration = bench.task.calibration(getattr(scorer, "seed", 0))
    if isinstance(scorer, ObservingScorer):
        observation = scorer.observation(bench.model, units, calibration)
        return scorer.reduce(observe(observation, bench.hardware, "score"), units)
    if isinstance(scorer, OptimisingScorer):
        objective = scorer.objective(bench.model, units, calibration)
        optimise(objective, scorer.schedule, bench.hardware, checkpoints, "score", history.log)
        return scorer.read(objective.trained, units)
    return follow(scorer.passes(bench.model, units, calibration), bench.hardware)


def follow(passes: Generator[Observation, Mapping[str, Tensor], Scores], hardware: Hardware) -> Scores:
    """Make the observations that a scorer asks for, one after another, until it knows the scores."""
    observation = next(passes)
    with placed(observation.model, device(hardware), hardware.offload):
        while True:
            try:
                observation = passes.send(observe(observation, hardware, "score"))
            except StopIteration as done:
                scores: Scores = done.value
                return scores
