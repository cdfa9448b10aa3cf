"""Two processes give what one gives: scores and weights to round-off, plans and samples exactly."""

import contextlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from offline_runs import runs
from omegaconf import DictConfig, OmegaConf
from pairs import pairs
from processes import run_ranks
from safetensors.torch import load_file

from prunelab.core.presets import conf_folder

Command = Callable[..., Any]
DRIVER = Path(__file__).with_name("two_ranks.py")
# Those that look at data, each once; the whole runs have magnitude and random.
SAME = {"magnitude", "random", "learned_gates_flux"}
SCORERS = sorted({file.stem for file in (conf_folder() / "scorer").glob("*.yaml")} - SAME)
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
DEVICES = "devices=2"
DDP = ("trainer=ddp", DEVICES)
UNCONDITIONAL = ("uag",)  # pictures without prompts are made and judged as those of prompts are


def scoring(scorer: str) -> list[str]:
    """Words that choose the scorer, little work for it, and the first granularity that it can score."""
    knobs = settings(scorer)
    little = {**LITTLE, "batch_size": ROWS.get(scorer, LITTLE["batch_size"])}
    few = [
        f"scorer.{key}={value}"
        for key, value in little.items()
        if key.split(".")[0] in {*knobs, trained(knobs)}
    ]
    granularity = pairs()[scorer][0]
    budget = "groups" if granularity == "weight" else "global"
    return [f"scorer={scorer}", *few, f"granularity={granularity}", f"budget={budget}"]


def settings(scorer: str) -> DictConfig:
    """What the scorer's file says."""
    return OmegaConf.load(conf_folder() / "scorer" / f"{scorer}.yaml")


def trained(knobs: DictConfig) -> str:
    """The key that a file of its own adds to a scorer that is trained."""
    return "schedule" if "defaults" in knobs else ""


@dataclass(frozen=True)
class Ran:
    """The same command lines in one process and in two: the stores, and task -> state -> row of a report."""

    stores: tuple[Path, Path]
    rows: tuple[dict[str, Any], dict[str, Any]]
    folder: Path  # of the whole run of t2i in two processes


@pytest.fixture(scope="module")
def stores(ran: Ran) -> tuple[Path, Path]:
    """Stores after the same command lines in one process and in two."""
    return ran.stores


@pytest.fixture(scope="module")
def ran(
    command: Command,
    tiny: tuple[str, ...],
    tiny_trained: tuple[str, ...],
    first: Any,
    store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    """A scoring per scorer, and a whole run of pictures and of sounds."""
    one, two = (tmp_path_factory.mktemp(name) / "store" for name in ("one", "two"))
    lines = [[*tiny, *scoring(scorer)] for scorer in SCORERS]
    as_far_as = runpy.run_path(str(DRIVER))["as_far_as"]
    for words in lines:
        with as_far_as("pruned"):
            assert command(*words, store=one).code == 0
    others = {task: [*tiny, f"task={task}", "scorer=random", "granularity=head"] for task in UNCONDITIONAL}
    logged = [*(word for word in tiny_trained if word != "logger=none"), "logger=wandb"]
    whole = [("report", words) for words in (logged, *others.values())]
    sharded = [*tiny_trained, "trainer=fsdp", f"store={two.parent / 'sharded'}", "until=recover"]
    before = [*(("pruned", words) for words in lines), ("report", sharded)]
    folders = in_two_processes(two, [*before, *whole])[-len(whole) :]
    rows = {"t2i": first.rows()} | {task: command(*words, store=one).rows() for task, words in others.items()}
    for path in two.iterdir():  # of the whole run: `first` is the same in one process
        if (store / path.name / "artifact.json").is_file() and not (one / path.name).exists():
            shutil.copytree(store / path.name, one / path.name)
    return Ran((one, two), (rows, dict(zip(rows, map(by_state, folders), strict=True))), Path(folders[0]))


def by_state(folder: str) -> dict[str, Any]:
    """The rows of a folder's report, without what says when and how they were made."""
    rows = json.loads((Path(folder) / "report.json").read_text())["rows"]
    return {row["state"]: {key: row[key] for key in row if key != "provenance"} for row in rows}


def in_two_processes(store: Path, lines: list[tuple[str, list[str]]]) -> list[str]:
    """The command lines, each with how far it goes, what they print."""
    many = [(far, [*words, *((DEVICES,) if "trainer=fsdp" in words else DDP)]) for far, words in lines]
    with contextlib.chdir(store.parent):
        said = run_ranks(DRIVER, [json.dumps(many)], store.parent, 2, PRUNELAB_STORE=str(store))
    printed = said.splitlines()
    assert len(printed) == len(many), "one of the ranks speaks, the other is silent"
    return printed


def of(store: Path, kind: str) -> dict[str, dict[str, torch.Tensor]]:
    """Address -> all tensors of the artifact."""
    return {
        folder.name: {
            f"{file.relative_to(folder)}/{name}": tensor
            for file in sorted(folder.rglob("*.safetensors"))
            for name, tensor in load_file(file).items()
        }
        for folder in sorted(store.glob(f"{kind}*"))
    }


def test_the_same_addresses(stores: tuple[Path, Path]) -> None:
    """But for times, and for the report, which several processes do not keep."""
    one, two = (
        {path.name for path in store.iterdir() if not path.name.startswith(("time-", "outcome-"))}
        for store in stores
    )
    assert one == two


@pytest.mark.parametrize("scorer", SCORERS)
def test_scores_agree_to_round_off(stores: tuple[Path, Path], scorer: str) -> None:
    """Sums are taken in float64; what was trained was trained in float32."""
    round_off = 1e-6 if trained(settings(scorer)) else 1e-12
    one, two = (of(store, f"score-{scorer}") for store in stores)
    assert one.keys() == two.keys() != set()
    for address, scores in one.items():
        for name, score in scores.items():
            assert score.dtype == torch.float64
            torch.testing.assert_close(two[address][name], score, rtol=round_off, atol=round_off)


def test_plans_and_pruned_models_agree_exactly(stores: tuple[Path, Path]) -> None:
    one, two = (of(store, "prune") for store in stores)
    assert len(one) == len(SCORERS) + 1 + len(UNCONDITIONAL)
    assert same(one, two)


def test_samples_agree_exactly(stores: tuple[Path, Path]) -> None:
    """Of the dense and the pruned models; a recovered model's weights agree to round-off only."""
    one, two = (untrained(store) for store in stores)
    assert len(one) == 2 * (1 + len(UNCONDITIONAL))
    assert same(one, two)


def untrained(store: Path) -> dict[str, dict[str, torch.Tensor]]:
    parents = {folder.name: record(folder)["inputs"]["model"] for folder in store.glob("sample-*")}
    return {
        name: tensors
        for name, tensors in of(store, "sample").items()
        if not parents[name].startswith("recover")
    }


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "artifact.json").read_text())


def same(one: dict[str, dict[str, torch.Tensor]], two: dict[str, dict[str, torch.Tensor]]) -> bool:
    return one.keys() == two.keys() and all(
        tensors.keys() == two[address].keys()
        and all(torch.equal(tensor, two[address][name]) for name, tensor in tensors.items())
        for address, tensors in one.items()
    )


@pytest.mark.parametrize("task", ["t2i", *UNCONDITIONAL])
def test_every_number_of_a_report_agrees(ran: Ran, task: str) -> None:
    """Exactly, but for clocks, and a recovered model's metrics, as its weights agree to round-off only."""
    one, two = (rows[task] for rows in ran.rows)
    assert list(one) == list(two)
    for state, row in one.items():
        other = two[state]
        for each in (row, other):
            each["cost"].pop("latency_ms")
            each["cost"].pop("dense_latency_ms", None)
        if state == "recovered":
            metrics = [each.pop("metrics") for each in (row, other)]
            values = [[estimate["value"] for estimate in each.values()] for each in metrics]
            assert values[1] == pytest.approx(values[0], rel=1e-2)
        assert other == row


def test_every_stage_is_one_run_of_both_processes(ran: Ran) -> None:
    found = runs(ran.folder)
    stages = [each.run.job_type for each in found]
    assert {"prune", "recover", "sample", "time", "evaluate", "summary"} <= {*stages}
    assert stages.count("summary") == stages.count("recover") == 1
    assert len({each.run.run_id for each in found}) == len(found)
    assert [
        each.config["output"] for each in found[:-1] if not (ran.stores[1] / each.run.run_id).is_dir()
    ] == []


@pytest.mark.parametrize("how", ["whole copies", "sharded"])
def test_recovered_weights_agree_to_round_off(stores: tuple[Path, Path], how: str) -> None:
    """Of a distillation, features included; in copies of the student that ranks have (DDP), or in parts."""
    other = stores[1].parent / "sharded" if how == "sharded" else stores[1]
    one, two = (of(store, "recover") for store in (stores[0], other))
    ((address, after),) = one.items()
    before = of(stores[0], record(stores[0] / address)["inputs"]["student"])
    ((_, student),) = before.items()
    moved = torch.cat([(after[name] - student[name]).abs().flatten() for name in after if "unet" in name])
    apart = torch.cat([(after[name] - two[address][name]).abs().flatten() for name in after])
    assert moved.mean() > 1e-3
    assert apart.mean() < 1e-7
    assert apart.max() < 1e-4  # AdamW divides by gradients that may be next to nothing


@pytest.fixture(scope="module")
def launched(tiny_trained: tuple[str, ...], stores: tuple[Path, Path]) -> subprocess.CompletedProcess[str]:
    """The command line itself starts the ranks of two jobs; the second cannot share its batch out."""
    for name in ("hydra", "torch", "lightning"):
        (stores[1].parent / f"{name}.py").write_text("raise SystemExit('a file of the current folder ran')")
    words = [*tiny_trained, *DDP, "-m", "recovery.schedule.batch_size=4,5"]
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
    assert "recover: recover-distill" in launched.stderr, "it was in the store"
    assert launched.stderr.count("Output distance") == 2, (
        "once of the job, whatever its ranks, and of the sweep"
    )


def test_the_current_folder_is_not_imported_from(launched: subprocess.CompletedProcess[str]) -> None:
    """By the command line, started as a module, and by its ranks."""
    assert "a file of the current folder ran" not in launched.stderr
    assert launched.stdout


def test_a_refusal_inside_the_ranks_is_one_line(launched: subprocess.CompletedProcess[str]) -> None:
    assert launched.returncode == 1
    assert "Traceback" not in launched.stderr
    (line,) = [line for line in launched.stderr.splitlines() if line.startswith("prunelab: ")]
    job, _, reason = line.rpartition(": ")
    assert "recovery.schedule.batch_size=5" in job
    assert "batch_size=4" not in line
    assert reason == "batch_size=5 cannot be split evenly over 2 processes"
    assert not [path for path in Path(launched.stdout.strip()).rglob("*") if "refusal" in path.name]
