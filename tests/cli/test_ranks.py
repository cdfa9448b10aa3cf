"""Two processes give what one gives: scores and weights to round-off, plans and samples exactly."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file

from prunelab.cli.checking import conf_folder

Command = Callable[..., Any]
DRIVER = Path(__file__).with_name("two_ranks.py")
SCORERS = sorted(file.stem for file in (conf_folder() / "scorer").glob("*.yaml"))
# Little work, but more chunks than ranks, of which the last is smaller than the others.
LITTLE = {
    "samples": 5,
    "prompts": 4,
    "steps": 1,
    "stride": 400,
    "batch_size": 2,
    "schedule.steps": 2,
    "schedule.batch_size": 2,
}
ROWS = {"latent_shift": 40}  # of this scorer a batch holds (ablation, sample) pairs
DDP = ("trainer=ddp", "devices=2")


def scoring(scorer: str) -> list[str]:
    """Words that choose the scorer, little work for it, and the first granularity that it can score."""
    knobs = OmegaConf.load(conf_folder() / "scorer" / f"{scorer}.yaml")
    little = {**LITTLE, "batch_size": ROWS.get(scorer, LITTLE["batch_size"])}
    few = [f"scorer.{key}={value}" for key, value in little.items() if key.split(".")[0] in {*knobs, trained(knobs)}]
    granularity = get_class(knobs._target_).granularities[0]
    budget = "groups" if granularity == "weight" else "global"
    return [f"scorer={scorer}", *few, f"granularity={granularity}", f"budget={budget}"]


def trained(knobs: DictConfig) -> str:
    """The key that a file of its own adds to a scorer that is trained."""
    return "schedule" if "defaults" in knobs else ""


def lines(tiny: tuple[str, ...], tiny_trained: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """A scoring and pruning per scorer, and a whole run with a recovery."""
    scored = [("pruned", [*tiny, *scoring(scorer)]) for scorer in SCORERS]
    return [*scored, ("report", [*tiny_trained, "recovery=finetune", "evaluation.batch_size=5"])]


@pytest.fixture(scope="module")
def stores(
    command: Command, tiny: tuple[str, ...], tiny_trained: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The stores after the same command lines in one process and in two."""
    one, two = (tmp_path_factory.mktemp(name) / "store" for name in ("one", "two"))
    as_far_as = runpy.run_path(str(DRIVER))["as_far_as"]
    for far, words in lines(tiny, tiny_trained):
        with as_far_as(far):
            assert command(*words, store=one).code == 0
    many = [(far, [*words, *DDP]) for far, words in lines(tiny, tiny_trained)]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(DRIVER), json.dumps(many)]
    result = subprocess.run(
        [sys.executable, *launch],
        env={**os.environ, "PRUNELAB_STORE": str(two)},
        capture_output=True,
        text=True,
        check=False,
        cwd=two.parent,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(result.stdout.splitlines()) == len(many), "one of the ranks speaks, the other is silent"
    return one, two


def of(store: Path, kind: str) -> dict[str, dict[str, torch.Tensor]]:
    """Address -> all tensors of the artifact."""
    return {
        folder.name: {
            f"{file.relative_to(folder)}/{name}": tensor
            for file in sorted(folder.rglob("*.safetensors"))
            for name, tensor in load_file(file).items()
        }
        for folder in sorted(store.glob(f"{kind}-*"))
    }


def test_the_same_artifacts(stores: tuple[Path, Path]) -> None:
    one, two = ({path.name for path in store.iterdir() if not path.name.startswith("time-")} for store in stores)
    assert one == two


@pytest.mark.parametrize("scorer", SCORERS)
def test_scores_agree_to_round_off(stores: tuple[Path, Path], scorer: str) -> None:
    one, two = (of(store, f"score-{scorer}") for store in stores)
    assert one.keys() == two.keys() != set()
    for address, scores in one.items():
        for name, score in scores.items():
            assert score.dtype == torch.float64
            torch.testing.assert_close(two[address][name], score, rtol=1e-12, atol=1e-12)


def test_plans_and_pruned_models_agree_exactly(stores: tuple[Path, Path]) -> None:
    one, two = (of(store, "prune") for store in stores)
    assert len(one) == len(SCORERS) + 1
    assert same(one, two)


def test_samples_agree_exactly(stores: tuple[Path, Path]) -> None:
    """Of the dense and the pruned models; a recovered model's weights agree to round-off only."""
    one, two = (untrained(store) for store in stores)
    assert len(one) == 2
    assert same(one, two)


def untrained(store: Path) -> dict[str, dict[str, torch.Tensor]]:
    parents = {folder.name: record(folder)["inputs"]["model"] for folder in store.glob("sample-*")}
    return {
        name: tensors for name, tensors in of(store, "sample").items() if not parents[name].startswith("recover")
    }


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "artifact.json").read_text())


def same(one: dict[str, dict[str, torch.Tensor]], two: dict[str, dict[str, torch.Tensor]]) -> bool:
    return one.keys() == two.keys() and all(
        tensors.keys() == two[address].keys()
        and all(torch.equal(tensor, two[address][name]) for name, tensor in tensors.items())
        for address, tensors in one.items()
    )


def test_recovered_weights_agree_to_round_off(stores: tuple[Path, Path]) -> None:
    one, two = (of(store, "recover") for store in stores)
    (address,) = one.keys() & two.keys()
    before = next(iter(of(stores[0], "prune").values()))
    moved = 0.0
    for name, weight in one[address].items():
        torch.testing.assert_close(two[address][name], weight, rtol=1e-4, atol=1e-5)
        moved = max(moved, float((weight.float() - before[name].float()).abs().max())) if name in before else moved
    assert moved > 1e-4


@pytest.fixture(scope="module")
def launched(tiny_trained: tuple[str, ...], stores: tuple[Path, Path]) -> subprocess.CompletedProcess[str]:
    """The command line starts the ranks of a sweep's two jobs itself; the second cannot share its batch out."""
    words = [*tiny_trained, *DDP, "recovery=finetune", "sparsity=0.4", "-m", "recovery.schedule.batch_size=4,5"]
    return subprocess.run(
        [sys.executable, "-m", "prunelab", *words],
        env={**os.environ, "PRUNELAB_STORE": str(stores[1])},
        capture_output=True,
        text=True,
        check=False,
        cwd=stores[1].parent,
    )


def test_a_launched_job_leaves_its_report(launched: subprocess.CompletedProcess[str]) -> None:
    (folder,) = launched.stdout.splitlines()
    rows = json.loads((Path(folder) / "0" / "report.json").read_text())["rows"]
    assert [row["state"] for row in rows] == ["dense", "pruned", "recovered"]
    assert json.loads((Path(folder) / "report.json").read_text())["rows"] == rows
    assert "score: score-magnitude" in launched.stderr, "the scores were in the store"
    assert launched.stderr.count("Prompt accuracy") == 1


def test_a_refusal_inside_the_ranks_is_one_line(launched: subprocess.CompletedProcess[str]) -> None:
    assert launched.returncode == 1
    assert "Traceback" not in launched.stderr
    (line,) = [line for line in launched.stderr.splitlines() if line.startswith("prunelab: ")]
    assert "recovery.schedule.batch_size=5: batch_size=5 cannot be split evenly over 2 processes" in line
    assert not [path for path in Path(launched.stdout.strip()).rglob("*") if "refusal" in path.name]
