"""A sweeper that proposes values is given the number that it wants of each job."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from prunelab.cli import cell
from prunelab.core.errors import Refusal

Command = Callable[..., Any]
SEARCH = (
    *("logger=none", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=1"),
    *("hydra.sweeper.direction=minimize", "hydra.sweeper.sampler.seed=1", "hydra.sweep.dir=found", "-m"),
)
make_row = runpy.run_path(str(Path(__file__).parents[1] / "report" / "conftest.py"))["make_row"]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Jobs that report an output distance, the least at a sparsity of 0.2; the sparsities that were tried."""
    seen = list[float]()

    def work(config: Any, folder: Path, *_: Any) -> None:
        seen.append(config.sparsity)
        if config.sparsity > 0.8:
            raise Refusal("too much")
        row = make_row("pruned")
        estimate = dict.fromkeys(("value", "low", "high"), (config.sparsity - 0.2) ** 2)
        row["metrics"]["output_distance"] = {**estimate, "n": 4}
        (folder / "report.json").write_text(json.dumps({"schema": 1, "rows": [row]}))

    monkeypatch.setattr(cell, "work", work)
    monkeypatch.setattr("prunelab.cli.jobs.combine", lambda *_: None)
    return seen


def test_a_search_looks_at_what_the_reports_say(command: Command, tmp_path: Path, jobs: list[float]) -> None:
    words = (*SEARCH, "sparsity=interval(0.0,0.7)", "objective=output_distance")
    ended = command(*words, store=tmp_path / "store")
    assert (ended.code, ended.out, len(jobs)) == (0, [str(tmp_path / "found")], 5)
    best = yaml.safe_load((tmp_path / "found" / "optimization_results.yaml").read_text())
    distances = {(sparsity - 0.2) ** 2: sparsity for sparsity in jobs}
    assert best["best_value"] == min(distances)
    assert best["best_params"]["sparsity"] == distances[min(distances)]
    records = [json.loads((tmp_path / "found" / str(n) / "job.json").read_text()) for n in range(5)]
    assert [record["value"] for record in records] == [*distances]


def test_a_search_without_a_single_result_says_why(
    command: Command, tmp_path: Path, jobs: list[float]
) -> None:
    words = (*SEARCH, "sparsity=interval(0.85,0.9)", "objective=output_distance")
    ended = command(*words, store=tmp_path / "store")
    assert (ended.code, ended.out, len(jobs), len(ended.refusals)) == (1, [], 5, 5)
    assert ended.refusals[0].endswith("too much")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*SEARCH, "sparsity=0.1,0.2"], "a search wants a number of each job: objective=NAME"),
        (
            [*SEARCH, "objective=macs", "hydra.sweeper.storage=sqlite:///search.db"],
            "hydra.sweeper.storage=sqlite:///search.db needs an SQLAlchemy before 2: pip install",
        ),
        (["-m", "sparsity=interval(0.1,0.2)"], "hydra/sweeper=optuna searches an interval"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    command: Command, tmp_path: Path, words: list[str], said: str
) -> None:
    ended = command(*words, store=tmp_path / "store")
    assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
    assert said in ended.err[0]


def test_an_unknown_objective_fails_its_job(command: Command, tmp_path: Path, jobs: list[float]) -> None:
    ended = command("objective=distance", "logger=none", "sparsity=0.1", store=tmp_path / "store")
    assert ended.code == 1
    assert "unknown objective 'distance': did you mean 'output_distance'?" in ended.refusals[0]
