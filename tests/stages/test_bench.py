"""How a stage becomes an artifact, and what W&B hears of it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prunelab.scorers.magnitude import Magnitude
from prunelab.stages import took
from prunelab.stages.bench import Bench, Part, write_json
from prunelab.stages.score import load_scores, score
from prunelab.tracking.wandb import WandbTracker

MakeBench = Callable[..., Bench]
SCORER = Part("magnitude", Magnitude(p=2.0), {"p": 2.0, "reduce": "mean"})


def test_a_result_is_made_once_and_read_back(make_bench: MakeBench, tmp_path: Path) -> None:
    bench, made = make_bench(tmp_path), list[int]()

    def make(partial: Path, run: Any) -> Callable[[Path], None]:
        made.append(len(list(partial.iterdir())))
        (partial / "scratch").write_text("survives a kill")
        return lambda folder: write_json(folder / "content.json", {"a": [1, 2]})

    first = bench.artifact("test", "name", 1, {"knob": 3}, make, {"parent": "other-0"})
    again = bench.artifact("test", "name", 1, {"knob": 3.0}, make, {"parent": "other-0"})
    assert (made, first, first.json("content.json")) == ([0], again, {"a": [1, 2]})
    record = first.json("artifact.json")
    assert record["inputs"] == {"stage": "test", "version": 1, "knob": 3, "parent": "other-0"}
    others = [
        bench.artifact("test", "name", 2, {"knob": 3}, make, {"parent": "other-0"}),
        bench.artifact("test", "name", 1, {"knob": 4}, make, {"parent": "other-0"}),
        bench.artifact("test", "name", 1, {"knob": 3}, make, {"parent": "other-1"}),
    ]
    assert len({artifact.address for artifact in (first, *others)}) == 4


def test_a_stage_that_fails_leaves_its_scratch_and_no_artifact(make_bench: MakeBench, tmp_path: Path) -> None:
    bench, seen, clocks = make_bench(tmp_path), list[bool](), list[float]()

    def make(partial: Path, run: Any) -> Callable[[Path], None]:
        clocks.append(took._before(partial))
        seen.append((partial / "scratch").is_file())
        (partial / "scratch").touch()
        return write if len(seen) > 1 else fail

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyError("the power went")

    def write(folder: Path) -> None:
        (folder / "whole").touch()

    with pytest.raises(KeyError, match="the power went"):
        bench.artifact("test", "name", 1, {}, make)
    assert not list(tmp_path.glob("test-*"))
    made = bench.artifact("test", "name", 1, {}, make)
    assert seen == [False, True]
    assert clocks[0] == 0 < clocks[1] < made.json("took.json")["seconds"], "the failed attempt counts"
    assert made.hours == made.json("took.json")["seconds"] / 3600
    assert sorted(path.name for path in made.path.iterdir()) == ["artifact.json", "took.json", "whole"]
    assert not list((tmp_path / ".partial").iterdir())


def test_a_computed_stage_is_one_run_that_names_its_parents(
    make_bench: MakeBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    bench = make_bench(tmp_path / "store", WandbTracker("prunelab", None, tmp_path, mode="offline"))
    units = bench.model.units(["head"], ["denoiser"])[:3]
    artifact = score(bench, SCORER, units)
    assert score(bench, SCORER, units) == artifact
    (written,) = (tmp_path / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(written)]
    seen = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert seen["config"]["output"] == artifact.address
    assert seen["config"]["scorer"] == {"p": 2.0, "reduce": "mean"}
    assert seen["config"]["model"] == bench.model.fingerprint()
    (table,) = written.glob("files/media/table/*.json")
    rows = json.loads(table.read_text())["data"]
    scores = load_scores(artifact)
    assert rows == [[u.name, i, scores[u.name][i].item()] for u in units for i in range(u.elements)]


def test_parents_are_the_inputs_of_the_run(make_bench: MakeBench, tmp_path: Path) -> None:
    heard: list[tuple[str, dict[str, Any], dict[str, str], str]] = []

    class Listener:
        def stage(self, job_type: str, config: Any, inputs: Any, output: str, **_: Any) -> Any:
            heard.append((job_type, config, dict(inputs), output))
            return bench.tracker.stage(job_type, config, inputs, output)

    bench = make_bench(tmp_path)
    listening = make_bench(tmp_path, Listener())
    units = bench.model.units(["head"], ["denoiser"])[:1]
    previous = listening.artifact("prune", "by-hand", 1, {}, lambda partial, run: plan_of(units[0].name))
    scored = score(listening, SCORER, units, previous=previous)
    assert heard[1][0] == "score"
    assert heard[1][2] == {"previous": previous.address}
    assert heard[1][3] == scored.address
    assert load_scores(scored)[units[0].name][0] < load_scores(scored)[units[0].name][1:].min()


def plan_of(name: str) -> Callable[[Path], None]:
    from prunelab.stages.bench import write_tensors

    return lambda folder: write_tensors(
        folder / "plan.safetensors", {name: torch.tensor([False, True, True, True])}
    )
