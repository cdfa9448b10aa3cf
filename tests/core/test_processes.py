"""One answer to "which process of how many": torchrun's, srun's, a batch script's, and nobody's."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from prunelab.core import processes
from prunelab.core.errors import Refusal

SOURCES = Path(__file__).parents[2] / "src" / "prunelab"
MET = ("MASTER_ADDR", "MASTER_PORT")
ALL = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", processes.LAUNCHED, processes.SRUN)
SRUN = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2"}
SLURM = {*SRUN, "SLURM_PROCID"}
STEP = {
    **SRUN,
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08,12]",
    processes.SRUN: "ranks",
}
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


@pytest.fixture(autouse=True)
def _nobody() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        for name in (*ALL, *MET, *SLURM):
            os.environ.pop(name, None)
        yield


def given(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_without_a_launcher_this_process_is_alone() -> None:
    assert (processes.rank(), processes.world(), processes.local_rank(), processes.local_world()) == (
        0,
        1,
        0,
        1,
    )
    assert processes.first()
    assert not processes.grouped()
    assert processes.launcher() is None
    processes.check()


def test_the_ranks_of_a_step_are_known_from_those_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, STEP)
    processes.check()
    assert processes.of_a_step()
    given(monkeypatch, {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"})
    assert not processes.of_a_step()


def test_torchrun_says_it_all_also_inside_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**SRUN, "SLURM_PROCID": "1", **TORCHRUN})
    assert (processes.rank(), processes.world(), processes.local_rank(), processes.local_world()) == (
        3,
        4,
        1,
        2,
    )
    assert processes.grouped()
    assert not processes.first()
    processes.check()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("environment", [SRUN, {"SLURM_NTASKS": "2"}], ids=["srun", "no step"])
def test_two_processes_of_srun_are_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], number: int
) -> None:
    given(monkeypatch, {**environment, "SLURM_PROCID": str(number)})
    with pytest.raises(Refusal, match=r"srun started 2 processes, .* devices=2, or set PRUNELAB_SRUN=ranks"):
        processes.check()
    assert processes.first() == (number == 0), "one of them says so"


def test_tasks_of_srun_are_ranks_where_the_profile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, STEP)
    assert processes.spoken_for()
    processes.check()
    found = processes.rank(), processes.world(), processes.local_rank(), processes.local_world()
    assert found == (3, 4, 1, 2)
    assert processes.grouped()
    assert not processes.first()
    assert processes.spoken_for()
    assert [os.environ[name] for name in MET] == ["gpu07", "15112"]


def test_where_they_meet_may_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**STEP, "MASTER_ADDR": "127.0.0.1"})
    processes.check()
    assert os.environ["MASTER_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("listed", "first"),
    [("n1", "n1"), ("n[1-2]", "n1"), ("a-3,n[1-2]", "a-3"), ("r1n[007,9]-ib,x", "r1n007-ib")],
)
def test_the_first_host_of_a_list(listed: str, first: str) -> None:
    assert processes._first_host(listed) == first


def test_uneven_tasks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {**STEP, "SLURM_STEP_TASKS_PER_NODE": "2,1"})
    with pytest.raises(Refusal, match="not as many on every node: give --nodes and --ntasks-per-node"):
        processes.check()


@pytest.mark.parametrize(
    "environment",
    [
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"},  # the script of sbatch --ntasks=2
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"},  # the shell of salloc --ntasks=2
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},  # srun --ntasks=1 inside of either
    ],
    ids=["sbatch", "salloc", "step of one"],
)
def test_one_process_of_a_job_with_room_for_two_is_alone(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    given(monkeypatch, environment)
    processes.check()
    assert processes.first()


def test_what_is_no_number_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(Refusal, match="RANK='first', which is no number"):
        processes.rank()


def test_processes_know_who_speaks_for_them() -> None:
    with processes.launching():
        assert processes.launched()
    assert not processes.launched()


def test_nothing_else_asks_the_environment() -> None:
    asked = re.compile("|".join(f'"{name}"' for name in (*ALL, "SLURM_PROCID", "SLURM_NTASKS")))
    found = {file.name for file in SOURCES.rglob("*.py") if asked.search(file.read_text("utf-8"))}
    assert found == {"processes.py"}
