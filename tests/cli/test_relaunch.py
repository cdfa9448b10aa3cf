"""A job in processes of its own: what its parent says when one of them stops."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from prunelab.core import stopping
from prunelab.core.processes import LAUNCHED
from prunelab.engine.launch import Failure

Command = Callable[..., Any]
WORDS = ("devices=2", "trainer=ddp", "logger=none", "hydra.run.dir=here")


@pytest.mark.parametrize(
    ("failure", "kind", "lines"),
    [
        (Failure(0, 1, "scores are not finite", "Traceback"), "refused", ["prunelab: scores are not finite"]),
        (
            Failure(1, 1, "", "Traceback\nKeyError: 'lost'\n"),
            "defect",
            [
                "Traceback",
                "KeyError: 'lost'",
                "prunelab: process 1 of this job failed (exit code 1); its message is above",
            ],
        ),
        (
            Failure(1, -9),
            "node lost",
            [
                "prunelab: process 1 of this job was killed by SIGKILL (out of memory?): "
                "run the same command again to resume"
            ],
        ),
    ],
)
def test_the_reason_is_told_once(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: Failure,
    kind: str,
    lines: list[str],
) -> None:
    def launch(devices: int, arguments: Sequence[str]) -> Failure:
        assert os.environ[LAUNCHED] == str(os.getpid()), "the processes know who speaks for them"
        assert arguments[:4] == ["-P", "-m", "prunelab", "run"], "not from the current folder"
        return failure

    monkeypatch.setattr("prunelab.engine.launch.launch", launch)
    ended = command(*WORDS, store=tmp_path / "store")
    assert (ended.code, ended.out, ended.err) == (1, [], lines)
    assert LAUNCHED not in os.environ
    (attempt,) = json.loads((tmp_path / "here" / "job.json").read_text())["attempts"]
    assert attempt["failure"] == kind


def test_a_rank_leaves_word_and_is_silent(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list[str]()
    monkeypatch.setattr("prunelab.engine.launch.leave", lambda error: left.append(str(error)))
    words = ("path=not/there", "logger=none", "hydra.run.dir=here")
    ended = command(*words, store=tmp_path / "store", environment={LAUNCHED: str(os.getppid())})
    assert (ended.code, ended.out, ended.err) == (1, [], [])
    assert left[0].startswith("no diffusers model at not/there")


def test_a_stopped_launcher_stops_a_whole_sweep(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = list[int]()

    def launch(devices: int, arguments: Sequence[str]) -> None:
        jobs.append(devices)
        stopping.stop(15)

    monkeypatch.setattr("prunelab.engine.launch.launch", launch)
    monkeypatch.setattr(stopping, "end_within", lambda seconds, code: None)
    ended = command(*WORDS[:3], "-m", "seed=0,1", store=tmp_path / "store")
    assert (ended.code, ended.out, jobs) == (143, [], [2])
    stopped = "prunelab: stopped by SIGTERM: run the same command again to resume"
    assert ended.err == ["job 1/2: seed=0", stopped]
    (record,) = tmp_path.glob("multirun/*/*/*/job.json")
    assert json.loads(record.read_text())["attempts"][0]["failure"] == "preempted"


@pytest.mark.parametrize("number", ["0", "1"])
def test_srun_starts_no_two_jobs(command: Command, tmp_path: Path, number: str) -> None:
    """Each would believe that it is alone, and do all of the work beside the other."""
    step = {"SLURM_PROCID": number, "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    ended = command("plan", "logger=none", store=tmp_path / "store", environment=step)
    assert (ended.code, ended.out, len(ended.refusals)) == (1, [], 1 if number == "0" else 0)
    assert ended.err == [] or "srun started 2 processes" in ended.err[0]
    assert not (tmp_path / "outputs").exists()
