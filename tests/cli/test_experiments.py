"""Every experiment, with settings of seconds, on the tasks that differ for it; elsewhere it is composed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from known_addresses import described, kept, moved
from safetensors.torch import load_file

from prunelab.cli.arguments import parse
from prunelab.cli.checking import check
from prunelab.core.presets import conf_folder

Command = Callable[..., Any]
MODELS = {"t2i": "tiny_t2i", "uig": "tiny_uig", "uag": "tiny_uag"}
EXPERIMENTS = sorted(file.stem for file in (conf_folder() / "experiment").glob("*.yaml"))
TASKS = sorted(
    set(MODELS) | {file.stem for file in (conf_folder() / "task").glob("*.yaml")} - {"t2i_clip", "t2v"}
)
# Where an experiment is composed and not run: of a paper's the pictures without prompts, of ours all but one.
ELSEWHERE = dict.fromkeys(("demo", "ecodiff_flux", "latent_shift_per_parameter"), ("uig", "uag"))
ELSEWHERE |= {"diff_pruning": (), "ecodiff_4step": ()}
OF_ONE_TASK = {"ecodiff_4step": "t2i"}  # experiments that bring a model of their own
QUICK = {
    "latent_shift": ("scorer.samples=2", "scorer.steps=2", "scorer.batch_size=64"),
    "taylor": ("scorer.samples=2", "scorer.stride=500", "scorer.batch_size=2"),
    "learned_gates": (
        "scorer.prompts=2",
        "scorer.steps=2",
        "scorer.schedule.steps=2",
        "scorer.schedule.batch_size=2",
    ),
    "magnitude": (),
}
QUICK["learned_gates_flux"] = QUICK["learned_gates"]
SCORERS = {
    "demo": "latent_shift",
    "diff_pruning": "taylor",
    "ecodiff": "learned_gates",
    "ecodiff_4step": "learned_gates",
    "ecodiff_flux": "learned_gates_flux",
    "latent_shift_per_parameter": "latent_shift",
    "ld_pruner": "latent_shift",
    "sd2_magnitude": "magnitude",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store: what the experiments of a task have in common is computed once."""
    return tmp_path_factory.mktemp("experiments") / "store"


@pytest.fixture
def quick(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Settings of seconds, with three steps of whatever recovery the experiment has."""
    return tuple(word for word in tiny if not word.startswith(("granularity=", "recovery=")))


def healing(experiment: str) -> tuple[str, ...]:
    recovers = experiment in ("demo", "diff_pruning", "latent_shift_per_parameter", "ld_pruner")
    steps = ("examples=8", "schedule.steps=3", "schedule.batch_size=2", "schedule.warmup=0")
    return tuple(f"recovery.{word}" for word in steps) if recovers else ()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_experiment_runs_on_the_task(
    command: Command, quick: tuple[str, ...], store: Path, experiment: str, task: str
) -> None:
    words = (*quick, f"task={task}", f"experiment={experiment}", *QUICK[SCORERS[experiment]])
    if experiment in ("latent_shift_per_parameter", "ld_pruner"):
        words = (*words, "bypass.samples=2", "bypass.steps=2")
    if task in ELSEWHERE.get(experiment, ("uig",)):
        check(parse([f"task={task}", f"experiment={experiment}"]))  # its parts run on the other tasks
        return
    ended = command(*words, *healing(experiment), store=store)
    if OF_ONE_TASK.get(experiment, task) != task:
        assert ended.code == 1
        assert len(ended.refusals) == 1, ended.err
        return
    rows = ended.rows()
    states = ["dense", "pruned", "recovered"] if healing(experiment) else ["dense", "pruned"]
    assert [row for row in states if row in rows] == list(rows) == states
    achieved = rows["pruned"]["sparsity"]
    assert max(achieved["elements"], achieved["parameters"]) > 0
    assert rows["pruned"]["metrics"]["output_distance"]["value"] > 0
    assert moved(f"{experiment} {task}", ended.asked) == ""


ADAPTED = ("recovery.method.rank=2", *(f"recovery.{w}" for w in ("examples=8", "schedule.steps=2")))
ADAPTED += ("recovery.schedule.batch_size=2", "recovery.schedule.warmup=0")


@pytest.mark.parametrize("experiment", ["ld_pruner", "diff_pruning", "ecodiff"])
def test_adapters_recover_an_experiments_model(
    command: Command, quick: tuple[str, ...], store: Path, experiment: str
) -> None:
    """The recovered model has the structure of the pruned one, of the test above, and other weights."""
    words = (*quick, "task=t2i", f"experiment={experiment}", *QUICK[SCORERS[experiment]])
    if experiment == "ld_pruner":
        words = (*words, "bypass.samples=2", "bypass.steps=2")
    ended = command(*words, "recovery=lora", *ADAPTED, store=store)
    rows = ended.rows()
    assert rows["recovered"]["cost"]["parameters"] == rows["pruned"]["cost"]["parameters"]
    saved = [
        load_file(ended.folder / "models" / state / "unet" / "diffusion_pytorch_model.safetensors")
        for state in ("pruned", "recovered")
    ]
    assert {n: w.shape for n, w in saved[0].items()} == {n: w.shape for n, w in saved[1].items()}
    changed = {name for name, weight in saved[0].items() if not torch.equal(weight, saved[1][name])}
    assert changed
    assert all(".to_" in name for name in changed)


def test_adapters_are_refused_where_zeros_would_be_filled(
    command: Command, quick: tuple[str, ...], store: Path
) -> None:
    ended = command(*quick, "experiment=sd2_magnitude", "recovery=lora", *ADAPTED, store=store)
    assert ended.code == 1
    assert len(ended.refusals) == 1
    assert "would fill the zeros of single weights" in ended.refusals[0]


def test_an_address_that_moves_is_named() -> None:
    old = [["dense", 1, "dense-a"], ["score", 2, "score-b"], ["prune", 2, "prune-c"]]
    assert described(old, old) == ""
    alone = described(old, [old[0], ["score", 2, "score-d"], ["prune", 2, "prune-e"]])
    assert alone.startswith("score-d has an address that no store knows, and the version of its stage is 2")
    raised = described(old, [old[0], ["score", 3, "score-d"], ["prune", 2, "prune-e"]])
    assert raised.startswith("score-d has a new version, as it should")
    assert described(old, old[:2]) == "1 addresses are no longer asked for"
    assert {job.split()[1] for job in kept()} == {*MODELS}, "of every task"


def test_every_experiment_is_covered() -> None:
    assert list(SCORERS) == EXPERIMENTS
    for experiment in EXPERIMENTS:
        check(parse([f"experiment={experiment}", f"scorer={SCORERS[experiment]}"]))
