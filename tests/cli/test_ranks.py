"""Two processes give what one gives: scores and weights to round-off, plans and samples exactly."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from prunelab.cli.checking import conf_folder

Command = Callable[..., Any]
DRIVER = Path(__file__).with_name("two_ranks.py")
SCORERS = sorted(file.stem for file in (conf_folder() / "scorer").glob("*.yaml"))
# Work enough for more chunks than ranks, of which the last is smaller than the others.
WORK = {"latent_shift": ("scorer.samples=3", "scorer.steps=1", "scorer.batch_size=16")}
DDP = ("trainer=ddp", "devices=2")


def lines(tiny: tuple[str, ...], tiny_trained: tuple[str, ...]) -> list[list[str]]:
    """A run per scorer, and one with a recovery."""
    scored = [[*tiny, f"scorer={scorer}", *WORK.get(scorer, ())] for scorer in SCORERS]
    return [*scored, [*tiny_trained, "recovery=finetune", "evaluation.batch_size=5"]]


@pytest.fixture(scope="module")
def stores(
    command: Command, tiny: tuple[str, ...], tiny_trained: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The stores after the same command lines in one process and in two."""
    one, two = (tmp_path_factory.mktemp(name) / "store" for name in ("one", "two"))
    for words in lines(tiny, tiny_trained):
        assert command(*words, store=one).code == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(DRIVER)]
    many = [[*words, *DDP] for words in lines(tiny, tiny_trained)]
    environment = {**os.environ, "PRUNELAB_STORE": str(two)}
    result = subprocess.run(
        [*launch, json.dumps(many)], env=environment, capture_output=True, text=True, check=False, cwd=two.parent
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(result.stdout.splitlines()) == len(many), "one of the ranks speaks, and the other is silent"
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
    assert len(one) >= 2 * len(SCORERS)
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
