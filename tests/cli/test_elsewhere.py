"""A job in a launcher's process: told to stop as a command line is, and whoever started it hears of that."""

import os
import signal
import time
from collections.abc import Iterator
from types import FrameType
from unittest import mock

import pytest

from prunelab.cli import elsewhere
from prunelab.core import processes, stopping

AWAY = ("another machine", 1)


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """What a handler of SIGUSR2 hears, such as submitit's, which has the job started again."""
    numbers = list[int]()

    def hear(number: int, frame: FrameType | None) -> None:
        numbers.append(number)

    before = signal.signal(signal.SIGUSR2, hear)
    with mock.patch.dict(os.environ):
        yield numbers
    signal.signal(signal.SIGUSR2, before)


def told(number: signal.Signals) -> None:
    """A job that is sent a signal, in a launcher's process."""
    with elsewhere.prepared(AWAY):
        os.kill(os.getpid(), number)
        time.sleep(60)


def test_whoever_starts_jobs_again_hears_that_one_has_stopped(
    heard: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(stopping.Stopped) as stop:
        told(signal.SIGUSR2)
    assert (stop.value.code, heard) == (128 + signal.SIGUSR2, [signal.SIGUSR2])
    assert "stopped by SIGUSR2" in capsys.readouterr().err


def test_what_is_to_end_for_good_is_passed_on_to_nobody(heard: list[int]) -> None:
    with pytest.raises(stopping.Stopped) as stop:
        told(signal.SIGTERM)
    assert (stop.value.code, heard) == (128 + signal.SIGTERM, [])


def test_one_task_speaks_for_all(heard: list[int]) -> None:
    """The others end well: srun would kill the first one before it has said anything."""
    step = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
    os.environ.update({**step, "SLURM_STEP_TASKS_PER_NODE": "1(x2)", processes.SRUN: "ranks"})
    with pytest.raises(SystemExit) as stop:
        told(signal.SIGUSR2)
    assert (stop.value.code, heard) == (0, [])


def test_the_command_line_has_prepared_its_own_process() -> None:
    with mock.patch.object(elsewhere, "prepare") as prepare, elsewhere.prepared(elsewhere.home()):
        assert not prepare.called
