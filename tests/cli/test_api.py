"""The door for programs: the same results as the command line's, under the same addresses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import prunelab
from prunelab.budgets.everywhere import Everywhere
from prunelab.core.errors import Refusal
from prunelab.core.meanings import STRUCTURED, Meaning
from prunelab.core.presets import made, preset
from prunelab.core.protocols import Model
from prunelab.core.units import Unit
from prunelab.data.digits import Digits
from prunelab.evaluation.evaluation import Evaluation
from prunelab.evaluation.timing import Timing
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.recovery import Recovery
from prunelab.report import read_report
from prunelab.schedules.schedule import Schedule
from prunelab.scorers.magnitude import Magnitude
from prunelab.stages.bench import Bench

FEW = Evaluation(seeds=1, samples=4, seen=2, steps=1, batch_size=4, real=4, held_out=4)
ONCE = Timing(batches=(1,), warmup=1, repeats=2)


@dataclass(frozen=True)
class LengthOfPath:
    """A scorer of one's own: longer paths are worth more."""

    means: ClassVar[Meaning] = STRUCTURED

    def score(self, model: Model, units: Sequence[Unit]) -> Mapping[str, torch.Tensor]:
        return {u.name: torch.full((u.elements,), float(len(u.path)), dtype=torch.float64) for u in units}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    task = prunelab.open_task("t2i", data=Digits(train_size=16, test_size=16))
    return prunelab.open_bench(
        prunelab.open_model("tiny_t2i"), task, tmp_path_factory.mktemp("api") / "store"
    )


def test_scores_and_pruned_models_are_those_of_the_command_line(
    bench: Bench, command: Callable[..., Any]
) -> None:
    scored = prunelab.score(bench, Magnitude(), "head")
    pruned = prunelab.prune(bench, scored, Everywhere(), 0.3)
    words = ("scorer=magnitude", "granularity=head", "recovery=none", "logger=none", "data.train_size=16")
    keys = ("seeds", "samples", "seen", "steps", "real", "held_out")
    sizes = [f"evaluation.{key}={getattr(FEW, key)}" for key in keys]
    times = ("evaluation.timing.batches=[1]", "evaluation.timing.warmup=1", "evaluation.timing.repeats=2")
    ended = command(*words, *sizes, *times, "data.test_size=16", store=bench.store.root)
    assert not {"score", "prune"} & {*ended.computed}
    assert ended.rows()["pruned"]["address"] == pruned.address


def test_a_scorer_of_ones_own_is_an_object(bench: Bench) -> None:
    scored = prunelab.score(bench, LengthOfPath(), "head")
    assert {name: set(values.tolist()) for name, values in scored.scores.items()} == {
        unit.name: {float(len(unit.path))} for unit in scored.units
    }
    plan = prunelab.plan(bench, scored, Everywhere(rank="score"), 0.25)
    kept = [float(len(u.path)) for u in scored.units for keep in plan[u.name] if keep]
    gone = [float(len(u.path)) for u in scored.units for keep in plan[u.name] if not keep]
    assert max(gone) <= min(kept)
    assert len(gone) == int(0.25 * (len(gone) + len(kept)))


def test_what_is_recovered_and_measured_is_compared_on_a_page(bench: Bench, tmp_path: Path) -> None:
    schedule = Schedule(steps=1, batch_size=2, learning_rate=1e-3, weight_decay=0.0)
    pruned = prunelab.prune(bench, prunelab.score(bench, LengthOfPath(), "head"), Everywhere(), 0.25)
    recovered = prunelab.recover(bench, pruned, Recovery(Finetune(), schedule, 8, 0))
    timed = set(bench.store.root.glob("time-*"))
    outcome = prunelab.evaluate(bench, [pruned, recovered], FEW, ONCE)
    assert [row["state"] for row in outcome.rows] == ["dense", "pruned", "recovered"]
    assert len(set(bench.store.root.glob("time-*")) - timed) == 1, "all in turns, and once"
    assert outcome.rows[1]["cost"]["parameters"] < outcome.rows[0]["cost"]["parameters"]
    page = prunelab.compare(tmp_path / "report", outcome, outcome)
    assert page.is_file()
    assert read_report(page.with_name("report.json"))["rows"] == outcome.rows
    small = prunelab.load_pruned(pruned.folder)
    assert sum(p.numel() for p in small.unet.parameters()) < sum(
        p.numel() for p in bench.model.components["denoiser"].parameters()
    )


def test_refusals(bench: Bench) -> None:
    for wrong, words in (
        (lambda: prunelab.open_model("tiny_t2"), "there is no model 'tiny_t2': choose from"),
        (lambda: prunelab.open_model("sd21"), "path=FOLDER"),
        (lambda: prunelab.score(bench, Magnitude(), "haed"), "unknown granularity 'haed'"),
        (lambda: prunelab.score(bench, object(), "head"), "no dataclass"),  # type: ignore[arg-type]
        (lambda: prunelab.evaluate(bench, []), "one state of a name at a time"),
    ):
        with pytest.raises(Refusal, match=words):
            wrong()


def test_presets_are_read_without_hydra() -> None:
    assert made(preset("scorer", "magnitude")) == Magnitude()
    assert made(preset("data", "digits")) == Digits()
    with pytest.raises(AttributeError):
        prunelab.nothing  # noqa: B018
