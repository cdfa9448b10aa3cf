"""The driver of a sweep, with launchers that lose jobs: what it reads back, starts again, and gives up."""

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from queue import Queue
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from prunelab.artifacts.locks import locked
from prunelab.cli import standing
from prunelab.cli.driver import DRIVER, Driver, Sweep
from prunelab.cli.job_record import JobRecord, read_job
from prunelab.cli.standing import LOCKS, begun, finished, finished_before, key
from prunelab.cli.sweep_record import read_sweep
from prunelab.core.errors import Refusal
from prunelab.core.failures import POLICIES, Failure

WORDS = [["seed=0", "job=pretrain"], ["seed=1", "job=pretrain"], ["seed=2", "job=pretrain"]]


def config(words: Sequence[str], sweep: Path) -> DictConfig:
    """What Hydra would compose of the words of a job."""
    made: dict[str, Any] = dict(word.split("=") for word in words)
    hydra = {
        "sweep": {"dir": str(sweep), "subdir": "${hydra.job.num}"},
        "runtime": {"choices": {"hydra/launcher": "fake"}},
        "sweeper": {"params": None},
    }
    return OmegaConf.create({**made, "hydra": hydra})


class Fake(Launcher):
    """A launcher whose jobs end as ``fates`` says, one after another of a seed; what it has started."""

    def __init__(self, sweep: Path, fates: dict[str, list[str]]) -> None:
        self.sweep, self.fates = sweep, {seed: list(each) for seed, each in fates.items()}
        self.started: list[list[str]] = []

    def setup(self, **_: Any) -> None:
        raise AssertionError("it was set up before")

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        self.started.append([words[0] for words in job_overrides])
        for *words, place in job_overrides:
            left = self.fates.get(words[0], [])
            self._run(words, self.sweep / place.partition("=")[2].strip("'"), left.pop(0) if left else "done")
        if self.fates.get("pool"):
            raise BrokenProcessPool("a worker\nwas killed")
        return []

    def _run(self, words: list[str], folder: Path, fate: str) -> None:
        if fate == "unseen":
            return
        composed = config(words, self.sweep)
        del composed["hydra"]
        record = begun(folder, composed, 0, words[0], words)
        record.begin()
        if fate == "done":
            record.value = 1.5
        if fate != "vanished":
            record.end(None if fate == "done" else Failure(fate), None if fate == "done" else "why")
        record.write(folder)


@pytest.fixture
def drive(tmp_path: Path) -> Callable[..., tuple[Fake, list[Any]]]:
    """``drive(**fates)`` is one command; what it started, and what the sweeper got."""

    def driven(**fates: list[str]) -> tuple[Fake, list[Any]]:
        inner = Fake(tmp_path, {key.replace("seed", "seed="): each for key, each in fates.items()})
        loader = SimpleNamespace(load_sweep_config=lambda _, words: config(words, tmp_path))
        sweep = Sweep("pretrain", ["seed=0,1,2"], ["seed"], ["pretrain", "seed=0,1,2"])
        context: Any = SimpleNamespace(config_loader=loader)
        try:
            returned = Driver(inner, sweep, context, config([], tmp_path)).launch(WORDS, 0)
        finally:
            sweep.close()
        return inner, [each.return_value for each in returned]

    return driven


def failures(folder: Path) -> list[Failure | None]:
    record = read_job(folder)
    assert record is not None
    return [attempt.failure for attempt in record.attempts]


def test_what_is_lost_is_started_again_and_what_is_refused_is_not(
    tmp_path: Path, drive: Callable[..., Any]
) -> None:
    inner, returned = drive(seed0=["vanished", "unseen"], seed1=["refused"])
    assert inner.started == [["seed=0", "seed=1", "seed=2"], ["seed=0"], ["seed=0"]]
    assert returned == [1.5, None, 1.5]
    assert failures(tmp_path / "0") == [Failure.LOST, Failure.LOST, None]
    assert failures(tmp_path / "1") == [Failure.REFUSED]


def test_a_job_that_is_always_lost_stops_no_other(tmp_path: Path, drive: Callable[..., Any]) -> None:
    inner, returned = drive(seed1=["vanished"] * 9)
    assert len(inner.started) == 1 + POLICIES[Failure.LOST].again
    assert returned == [1.5, None, 1.5]


def test_the_same_command_tries_again_what_failed_and_nothing_else(drive: Callable[..., Any]) -> None:
    drive(seed1=["refused"])
    inner, returned = drive()
    assert (inner.started, returned) == ([["seed=1"]], [1.5, 1.5, 1.5])
    inner, _ = drive()
    assert inner.started == []


def test_a_job_is_done_for_as_long_as_what_it_read_is_the_same(tmp_path: Path) -> None:
    """Also where ``path`` is a link; one in a circle stops nobody, and a data set's name is no folder."""
    read = tmp_path / "model" / "unet"
    read.mkdir(parents=True)
    (read / "weights").write_text("1")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    made = OmegaConf.create(
        {"job": "run", "path": str(tmp_path / "link"), "data": {"path": "some/dataset", "rows": 4}}
    )
    record = begun(tmp_path / "0", made, 0, "seed=0", [])
    record.begin()
    record.end()
    record.write(tmp_path / "0")
    assert finished(tmp_path / "0", key(made)) is not None
    (read / "weights").write_text("2")
    assert finished(tmp_path / "0", key(made)) is None
    (read / "weights").unlink()
    (read / "weights").symlink_to(tmp_path / "model")
    assert len(key(made)) == 12


@pytest.mark.parametrize("done", [True, False])
def test_a_task_of_a_step_runs_what_its_first_task_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """It waits while another job has it, and takes up neither that one's work nor what is finished."""
    monkeypatch.setattr(standing, "PULSE", 0.02)
    made = config(WORDS[0], tmp_path)
    del made["hydra"]

    def begin(job: str) -> JobRecord:
        monkeypatch.setenv("SLURM_JOB_ID", job)
        record = begun(tmp_path, made, 0, "seed=0", [])
        record.begin()
        record.write(tmp_path)
        return record

    other, found = begin("7"), Queue[bool]()
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    look = Thread(target=lambda: found.put(finished_before(tmp_path, key(made))), daemon=True)
    look.start()
    look.join(0.2)
    assert look.is_alive(), "the other job's end is waited for"
    if done:
        other.end()
        other.write(tmp_path)
    else:
        begin("8")
    assert found.get(timeout=20) is done


def test_a_pool_that_breaks_loses_no_result(tmp_path: Path, drive: Callable[..., Any]) -> None:
    _, returned = drive(seed2=["vanished"], pool=["broken"])
    assert returned == [1.5, 1.5, 1.5]
    record = read_job(tmp_path / "2")
    assert record is not None
    assert record.attempts[0].message == "its process ended without a word (was killed)"


def test_a_launcher_that_starts_nothing_is_refused_at_once(drive: Callable[..., Any]) -> None:
    with pytest.raises(Refusal, match="started no job"):
        drive(seed0=["unseen"], seed1=["unseen"], seed2=["unseen"], pool=["broken"])


def test_one_sweep_has_one_driver(tmp_path: Path, drive: Callable[..., Any]) -> None:
    drive()
    with locked(tmp_path / LOCKS / DRIVER, "drives"), pytest.raises(Refusal, match="another job drives"):
        drive()


def test_the_list_of_jobs_is_there_before_they_are(tmp_path: Path, drive: Callable[..., Any]) -> None:
    drive()
    record = read_sweep(tmp_path)
    assert record is not None
    assert [(job.number, job.name, job.folder) for job in record.jobs] == [
        (0, "seed=0", "0"), (1, "seed=1", "1"), (2, "seed=2", "2"),
    ]  # fmt: skip
    (tmp_path / "0" / "job.json").write_text("{")
    assert read_job(tmp_path / "0") is None, "half a record is none"
