"""Jobs of submitit whose process was killed, where no accounting says so: the queue does, nobody waits."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from prunelab.cli import slurm_queue
from prunelab.cli.submitted import each_waited_for
from prunelab.core.failures import Failure, of_scheduler

core = pytest.importorskip("submitit.core.core", reason="submitit is not installed: prunelab[slurm]")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str] | None]:
    """What SLURM's programs answer, by name; None: nothing, as without accounting."""
    told: dict[str, list[str] | None] = {"squeue": [], "sacct": None, "scontrol": None}

    def asked(words: Sequence[str], patience: float = 0) -> list[str] | None:
        return told[words[0]]

    monkeypatch.setattr(slurm_queue, "_asked", asked)
    monkeypatch.setattr(slurm_queue, "_ended", {})
    monkeypatch.setattr(core.Job, "_results_timeout_s", 0)
    return told


def test_a_job_that_is_gone_from_the_queue_is_not_waited_for(
    answers: dict[str, list[str] | None], tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    from submitit.slurm.slurm import SlurmJob

    own = SlurmJob.watcher
    answers["scontrol"] = ["JobId=9 ArrayJobId=7 JobState=NODE_FAIL Reason=NodeDown ExitCode=0:0"]
    with each_waited_for() as lost:
        assert SlurmJob[None](tmp_path, "7_1").results() == [None]
    assert SlurmJob.watcher is own
    assert "ended as NODE_FAIL" in str(lost[0])
    answers["scontrol"] = None
    assert of_scheduler(slurm_queue.ended_as("7_1")) is Failure.LOST, "the controller has forgotten it"


def test_a_job_in_the_queue_is_waited_for_and_so_is_one_of_a_queue_that_is_silent(
    answers: dict[str, list[str] | None], tmp_path: Path
) -> None:
    from prunelab.cli.queue_watcher import QueueWatcher

    watcher = QueueWatcher()
    watcher.register_job("7_0")
    ended = list[bool]()
    for there in (["7_0"], None, ["7_1"]):
        answers["squeue"] = there
        watcher.update()
        ended.append(watcher.is_done("7_0", mode="cache"))
    assert ended == [False, False, True]


def test_how_a_job_ended_is_asked_of_the_accounting_last(answers: dict[str, list[str] | None]) -> None:
    assert slurm_queue.ended_as(None) == slurm_queue.ended_as("7") == ""
    answers["sacct"] = ["TIMEOUT"]
    assert slurm_queue.ended_as("7") == "TIMEOUT"
    answers["scontrol"] = ["JobId=8 JobState=CANCELLED Reason=None"]
    assert of_scheduler(slurm_queue.ended_as("8")) is Failure.PREEMPTED


@pytest.mark.parametrize(
    ("left", "end", "late"),
    [
        (["3:29"], None, True),  # a notice of two minutes, which comes up to a minute and a half early
        (["3:31"], None, False),
        (["1-00:00:10"], None, False),
        (["0:00"], None, True),
        (["UNLIMITED"], None, False),
        (None, None, False),
        (None, 200, True),  # SLURM 23 and later says so in the environment
        (["0:00"], 220, False),
    ],
)
def test_a_job_is_late_when_its_notice_is_due(
    answers: dict[str, list[str] | None],
    monkeypatch: pytest.MonkeyPatch,
    left: list[str] | None,
    end: int | None,
    late: bool,
) -> None:
    """SLURM 22 says the end of a job to who asks for it."""
    answers["squeue"] = left
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_END_TIME", "" if end is None else str(int(time.time()) + end))
    assert slurm_queue.late(120) is late
    monkeypatch.delenv("SLURM_JOB_ID")
    assert end is not None or not slurm_queue.late(120), "no job of SLURM's"
