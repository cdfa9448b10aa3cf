"""The door for programs: score, plan, prune, recover, evaluate and compare as calls, without Hydra.

Every call is a stage of the command line, on a bench of its own: a result comes from the store where it is
there. Parts (scorers, budgets, recoveries) are objects, of prunelab or of one's own; one's own are
dataclasses, as their settings name their results. What cannot be is a :class:`prunelab.core.errors.Refusal`.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunelab.artifacts import Store, default_root
from prunelab.bypasses.bypasses import Bypasses
from prunelab.core import processes
from prunelab.core.errors import Refusal
from prunelab.core.presets import companions, made, preset
from prunelab.core.protocols import AnyScorer, Budget, Model
from prunelab.core.scores import Plan, Scores
from prunelab.core.sparsity import Sparsity
from prunelab.core.tasks import Task
from prunelab.core.units import Unit
from prunelab.costs.zeroed import single_weights
from prunelab.evaluation.evaluation import Evaluation
from prunelab.evaluation.timing import Timing
from prunelab.recovery.recovery import Recovery
from prunelab.report import frame, write_report
from prunelab.report import read_report as read_content
from prunelab.stages import run as running
from prunelab.stages.allocation import allocation_scores
from prunelab.stages.bench import Artifact, Bench, Part
from prunelab.stages.described import described, part
from prunelab.stages.prune import make_plan
from prunelab.stages.prune import prune as prune_stage
from prunelab.stages.recover import check_recovery
from prunelab.stages.request import Request
from prunelab.stages.score import check_scorer, choose_units, load_scores
from prunelab.stages.score import score as score_stage
from prunelab.stages.state import State
from prunelab.tracking.protocol import Tracker
from prunelab.tracking.silent import SilentTracker
from prunelab.trainers.hardware import Hardware

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Scored:
    """Units with a score for each of their elements, and the scorer that gave them."""

    scorer: Part[AnyScorer]
    granularity: Sequence[str]
    units: Sequence[Unit]
    artifact: Artifact

    @property
    def scores(self) -> Scores:
        """Unit name -> float64 (elements,), higher = keep."""
        return load_scores(self.artifact)


@dataclass(frozen=True)
class Pruned(State):
    """A state with what was chosen on the way to it; ``artifact`` holds its plan and what was removed."""

    scored: Scored = field(kw_only=True)
    budget: Part[Budget] = field(kw_only=True)
    sparsity: Sparsity = field(kw_only=True)
    artifact: Artifact = field(kw_only=True)
    recovery: Part[Recovery] | None = None


@dataclass(frozen=True)
class Report:
    """A report that was written: the content of its ``report.json``."""

    content: Mapping[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One mapping per evaluated model."""
        return list(self.content["rows"])

    def frame(self) -> "pd.DataFrame":
        """The rows as a pandas DataFrame: see :func:`prunelab.report.data_frame.frame`."""
        return frame(self.rows)


def read_report(path: str | Path) -> Report:
    """The report in a folder, or at a ``report.json``; Refusal for what is none."""
    file = Path(path).expanduser()
    file = file / "report.json" if file.is_dir() else file
    try:
        return Report(read_content(file))
    except (OSError, ValueError) as error:
        raise Refusal(
            f"{file} cannot be read as a report: give the folder of a run, or of a sweep"
        ) from error


def open_model(name: str, path: str | Path | None = None, weights: str = "pretrained") -> Model:
    """The model of ``conf/model/NAME.yaml``, from the folder ``path`` or, embedded, from the package.

    weights: ``pretrained``, or ``random`` for the architecture alone.
    """
    place = None if path is None else str(path)
    model: Model = made(preset("model", name, path=place, weights=weights)["open"])
    return model


def open_task(name: str, **parts: Any) -> Task:
    """The task of ``conf/task/NAME.yaml``; ``parts`` (data, judge, metrics, labels) replace its own."""
    tree = preset("task", name)
    if "data" not in parts:
        parts["data"] = made(preset("data", companions("task", name)["data"]))
    task: Task = made({key: value for key, value in tree.items() if key not in parts}, **parts)
    return task


def open_bench(
    model: Model,
    task: Task,
    store: str | Path | None = None,
    hardware: Hardware | None = None,
    tracker: Tracker | None = None,
) -> Bench:
    """What every stage works with; the store is the user's own unless another folder is given."""
    processes.check()
    root = default_root() if store is None else store
    return Bench(Store(root), tracker or SilentTracker(), hardware or Hardware(), model, task)


def score(
    bench: Bench,
    scorer: AnyScorer,
    granularity: str | Sequence[str] = "operator",
    components: Sequence[str] = ("denoiser",),
) -> Scored:
    """Scores of the units of these granularities in these components of the bench's model."""
    kinds = [granularity] if isinstance(granularity, str) else list(granularity)
    chosen = part("scorer", scorer)
    units = choose_units(bench, kinds, components)
    check_scorer(chosen, units)
    return Scored(chosen, kinds, units, score_stage(bench, chosen, units))


def plan(bench: Bench, scored: Scored, budget: Budget, sparsity: float | dict[str, float]) -> Plan:
    """Unit name -> bool (elements,), True = keep: the plan that meets the budget."""
    chosen, asked, second = _asked(bench, scored, budget, sparsity)
    return make_plan(
        bench, scored.units, scored.scores, chosen, asked, load_scores(second) if second else None
    )


def prune(bench: Bench, scored: Scored, budget: Budget, sparsity: float | dict[str, float]) -> Pruned:
    """The model without what the budget's plan removes; ``.model`` samples and saves itself."""
    chosen, asked, second = _asked(bench, scored, budget, sparsity)
    artifact = prune_stage(bench, scored.artifact, scored.units, chosen, asked, second)
    state = running.pruned_state(bench, artifact, scored.artifact)
    return Pruned(**vars(state), scored=scored, budget=chosen, sparsity=asked, artifact=artifact)


def _asked(
    bench: Bench, scored: Scored, budget: Budget, sparsity: float | dict[str, float]
) -> tuple[Part[Budget], Sparsity, Artifact | None]:
    """The budget, how much it is to remove, and the scores that it reads beside those that rank."""
    chosen = part("budget", budget)
    second = allocation_scores(bench, chosen, scored.units, "none", None)
    return chosen, Sparsity(sparsity, budget.of), second


def recover(bench: Bench, pruned: Pruned, recovery: Recovery, scratch: bool = False) -> Pruned:
    """The pruned model after training; with ``scratch``, its shape after the same training from nothing."""
    chosen = part("recovery", recovery)
    check_recovery(chosen, bench.model, pruned.scored.units, scratch)
    state = running.recovered(bench, chosen, pruned.artifact, scratch)
    return replace(pruned, **vars(state), recovery=chosen)


def evaluate(
    bench: Bench, states: Sequence[Pruned], evaluation: Evaluation | None = None, timing: Timing | None = None
) -> running.Outcome:
    """Rows as ``report.json`` has them, of the dense model and of ``states``, with samples to look at.

    They are timed in turns, each under its own name: one is pruned, one recovered, one the control from
    scratch. Others take a call of their own; ``compare`` joins them.
    """
    names = [state.name for state in states]
    if not states or len({*names}) < len(names):
        raise Refusal(f"evaluate({', '.join(names)}) cannot tell them apart: one state of a name at a time")
    measures, times = part("evaluation", evaluation or Evaluation()), part("evaluation", timing or Timing())
    asked = {state.name: _request(bench, state, measures, times) for state in states}
    single = any(single_weights(state.scored.units) for state in states)
    everything = [running.dense(bench), *states]
    return running.report(bench, {"dense": asked[names[0]], **asked}, everything, single)


def _request(bench: Bench, state: Pruned, evaluation: Part[Evaluation], timing: Part[Timing]) -> Request:
    """What the command line would have been asked for."""
    granularity = "+".join(state.scored.granularity)
    task = type(bench.task).__name__
    labels = {"task": task, "model": bench.model.name, "scorer": state.scored.scorer.name, "bypass": None}
    labels |= {"granularity": granularity, "budget": state.budget.name, "settings": None}
    labels |= {"recovery": state.recovery.name if state.recovery else None}
    return Request(
        scorer=state.scored.scorer,
        granularity=state.scored.granularity,
        components=sorted({unit.component for unit in state.scored.units}),
        budget=state.budget,
        sparsity=state.sparsity,
        recovery=state.recovery,
        bypass=Part("none", Bypasses(), described(Bypasses())),
        evaluation=evaluation,
        timing=timing,
        metrics=described(list(bench.task.metrics)),
        labels=labels,
        seed=getattr(state.scored.scorer.value, "seed", 0),
    )


def compare(folder: str | Path, *outcomes: running.Outcome) -> Path:
    """One report of several evaluations in ``folder``; the path of its page."""
    whole = functools.reduce(running.Outcome.joined, outcomes)
    return write_report(
        Path(folder), whole.rows, whole.previews, whole.curves, {"title": "prunelab", **whole.facts}
    )
