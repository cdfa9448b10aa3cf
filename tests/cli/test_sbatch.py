"""The text for sbatch: as the files of slurm/ have it, and as a shell reads it."""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from prunelab.cli.cluster import profile, register
from prunelab.core.presets import conf_folder

Command = Callable[..., Any]
SLURM = Path(__file__).parents[2] / "slurm"
# The command lines that print the files: `prunelab WORDS > slurm/FILE`.
FILES = {
    "one_node.sbatch": ("sbatch",),
    "many_nodes.sbatch": ("sbatch", "cluster.nodes=2", "trainer=ddp"),
    "array.sbatch": ("sbatch", "-m", "scorer=magnitude,random", "sparsity=0.1,0.3"),
    "chain.sh": ("chain", "cluster=gpu"),
}


def printed(command: Command, folder: Path, *words: str) -> str:
    ended = command(*words, store=folder / "store")
    assert (ended.code, ended.err) == (0, [])
    assert list(folder.iterdir()) == [], "nothing is written"
    return "".join(f"{line}\n" for line in ended.out)


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_what_is_printed(command: Command, tmp_path: Path, name: str) -> None:
    assert (SLURM / name).read_text() == printed(command, tmp_path, *FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_a_shell_reads_them(name: str) -> None:
    bash = str(shutil.which("bash"))
    subprocess.run([bash, "-n", SLURM / name], check=True)


def test_words_reach_the_command_as_they_are_written(command: Command, tmp_path: Path) -> None:
    words = ("sparsity={denoiser: 0.3}", "group='its \\'own\\''", "+cluster.environment={GREETING: a b}")
    text = printed(command, tmp_path, "sbatch", *words)
    assert "export GREETING='a b'\n" in text
    assert set(words) <= set(shlex.split(text, comments=True))


def test_an_array_of_a_named_sweep_has_its_jobs(command: Command, tmp_path: Path) -> None:
    words = ("sbatch", "-m", "sweep=t2i_operators", "seed=0", "sparsity=0.3")
    lines = printed(command, tmp_path, *words).splitlines()
    (array,) = [line for line in lines if line.startswith("#SBATCH --array=")]
    jobs = [shlex.split(line) for line in lines if ") set -- " in line]
    assert array == f"#SBATCH --array=0-{len(jobs) - 1}%4"
    assert len(jobs) > 3
    assert all("seed=0" in job and "sparsity=0.3" in job for job in jobs)
    assert len({word for job in jobs for word in job if word.startswith("scorer=")}) > 2


def test_a_stage_of_a_chain_has_resources_and_words_of_its_own(command: Command, tmp_path: Path) -> None:
    text = printed(command, tmp_path, "chain", "cluster=gpu", "recovery=none", "seed=3")
    score, prune, evaluate = text.split("#!/bin/bash\n")[2:]
    assert ["--gres=gpu:8" in job for job in (score, prune, evaluate)] == [True, False, True]
    assert ["trainer=cpu" in job for job in (score, prune, evaluate)] == [False, True, False]
    assert ["until=score" in score, "until=prune" in prune, "until" in evaluate] == [True, True, False]
    assert 'afterok:$score"' in score, "of the job that comes next"
    assert all("seed=3" in job for job in (score, prune, evaluate))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("sbatch", "cluster.partition='two words'"), "cluster.partition=two words is not one word"),
        (("sbatch", "cluster.time=01:00:00"), "cluster.time=01:00:00 is not a whole number"),
        (("sbatch", "+cluster.stages={score: {gpus: 8}}"), "unknown: choose from partition"),
        (("sbatch", "cluster.gpus=8"), "unknown key 'cluster.gpus'"),
        (("sbatch", "recovery=distil"), "unknown recovery 'distil': did you mean 'distill'?"),
        (("chain", "-m", "seed=0,1"), "a chain is of one job"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_printed(
    command: Command, tmp_path: Path, words: tuple[str, ...], line: str
) -> None:
    ended = command(*words, store=tmp_path / "store")
    assert (ended.code, ended.out, len(ended.refusals)) == (1, [], 1)
    assert line in ended.refusals[0]


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_launcher_asks_for_what_the_script_does(name: str) -> None:
    """Every resource of the profile, under submitit's name for it or sbatch's own."""
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
    from submitit.slurm.slurm import _make_sbatch_string

    register()
    chosen, launcher = (
        OmegaConf.load(conf_folder() / file) for file in (f"cluster/{name}.yaml", "hydra/launcher/slurm.yaml")
    )
    tree = OmegaConf.create({"cluster": chosen, "hydra": {"launcher": launcher, "sweep": {"dir": "here"}}})
    given: Any = OmegaConf.to_container(tree.hydra.launcher, resolve=True)
    assert given.pop("_target_").endswith(SlurmLauncher.__name__)
    names = {"timeout_min": "time", "tasks_per_node": "ntasks_per_node", "name": "job_name"}
    for other in ("submitit_folder", "max_num_timeout"):
        given.pop(other)
    text = _make_sbatch_string("x", "here", **{names.get(key, key): value for key, value in given.items()})
    cluster = profile(tree.cluster)
    assert {*cluster.directives()} <= {*text.splitlines()}
    assert "\n".join(cluster.setup()) in text
