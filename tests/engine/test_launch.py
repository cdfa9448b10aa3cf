"""The launcher of ranks: how it ends, and that they end with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from prunelab.core import stopping
from prunelab.core.errors import Refusal
from prunelab.engine import launch as launching
from prunelab.engine.launch import Failure, launch

# A rank that says who it is, and waits as ranks do that are in the middle of something, to no end.
RANK = """
import os, pathlib, signal, sys, time
from prunelab.core import stopping
rank, folder = int(os.environ["LOCAL_RANK"]), pathlib.Path(sys.argv[1])
with stopping.watched(int(sys.argv[2]), silent=True) as watch:
    (folder / str(rank)).write_text(str(os.getpid()))
    try:
        {does}
        while True: time.sleep(0.1)
    except stopping.Stopped:
        watch.over = True
sys.exit(128 + watch.told)
"""
PARENT = """
import os, sys
from prunelab.engine.launch import launch
launch(2, ["-c", sys.argv[1], sys.argv[2], str(os.getpid())])
"""


def failed(*codes: int, files: tuple[str, ...] = ("none", "none")) -> ChildFailedError:
    """Failures of ranks 1, 0, ... with these exit codes, and the files that they left."""
    ranks = reversed(range(len(codes)))
    failures = zip(ranks, codes, files, strict=False)
    return ChildFailedError(
        "prunelab",
        {rank: ProcessFailure(rank, pid=1, exitcode=code, error_file=file) for rank, code, file in failures},
    )


def ending(error: Exception | None) -> Callable[..., Callable[..., None]]:
    """torch's launcher, but for the processes."""

    def elastic_launch(config: Any, entrypoint: str) -> Callable[..., None]:
        def run(*arguments: str) -> None:
            assert (config.nproc_per_node, config.max_restarts, arguments) == (2, 0, ("-m", "prunelab"))
            if error is not None:
                raise error

        return run

    return elastic_launch


@pytest.mark.parametrize(
    ("error", "failure"), [(None, None), (failed(3, 1), Failure(1, 3)), (failed(-9, 143), Failure(1, -9))]
)
def test_whether_all_ended_well(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, failure: Failure | None
) -> None:
    monkeypatch.setattr(launching, "elastic_launch", ending(error))
    assert launch(2, ["-m", "prunelab"]) == failure


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("who", ["launcher", "rank", "rank before it could listen"])
def test_a_signal_to_any_process_stops_the_job(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, who: str
) -> None:
    error = {
        "launcher": SignalException("stop", number),
        "rank": failed(128 + number),
        "rank before it could listen": failed(-number),
    }[who]
    monkeypatch.setattr(launching, "elastic_launch", ending(error))
    with pytest.raises(stopping.Stopped) as stop:
        launch(2, ["-m", "prunelab"])
    assert stop.value.code == 128 + number


def in_ranks(does: str, folder: Path) -> Failure | None:
    """Two processes, started from here; what became of them."""
    with stopping.watched():
        found = launch(2, ["-c", RANK.format(does=does), str(folder), str(os.getpid())])
        assert signal.getsignal(signal.SIGTERM).__qualname__ == "Watch._handle", "not the launcher's"  # type: ignore[union-attr]
    return found


def pids(folder: Path) -> list[int]:
    """The processes of both ranks, once they are there."""
    while not all((folder / str(rank)).is_file() and (folder / str(rank)).read_text() for rank in (0, 1)):
        time.sleep(0.05)
    return [int((folder / str(rank)).read_text()) for rank in (0, 1)]


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_rank_that_is_killed_takes_the_job_along(tmp_path: Path) -> None:
    failure = in_ranks("if rank == 1: os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert failure == Failure(1, -signal.SIGKILL)
    assert failure.killed_by == "SIGKILL"


def test_what_a_rank_fails_of_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A refusal is the cause also where another rank was quicker to stumble over it."""
    files = (str(tmp_path / "lost"), str(tmp_path / "refused"))
    for file, error in zip(files, (KeyError("lost"), Refusal("no such thing: take this")), strict=True):
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", file)
        try:
            raise error
        except (KeyError, Refusal) as raised:
            launching.leave(raised)
    monkeypatch.setattr(launching, "elastic_launch", ending(failed(1, 1, files=files)))
    refused = launch(2, ["-m", "prunelab"])
    assert refused is not None
    assert (refused.rank, refused.code, refused.refusal) == (0, 1, "no such thing: take this")
    monkeypatch.setattr(launching, "elastic_launch", ending(failed(1, 1, files=(files[0], "none"))))
    crashed = launch(2, ["-m", "prunelab"])
    assert crashed is not None
    assert (crashed.rank, crashed.code, crashed.refusal) == (1, 1, "")
    assert crashed.traceback.startswith("Traceback")
    assert crashed.traceback.endswith("KeyError: 'lost'\n")


def test_ranks_end_when_their_launcher_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, RANK.format(does="pass"), str(tmp_path)]
    with subprocess.Popen(command) as parent:
        ranks = pids(tmp_path)
        assert all(map(running, ranks))
        parent.kill()
    while any(map(running, ranks)):  # the test suite would hang here, as they did
        time.sleep(0.05)


def test_a_signal_to_the_launcher_reaches_the_ranks(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, RANK.format(does="pass"), str(tmp_path)]
    with subprocess.Popen(command) as parent:
        ranks = pids(tmp_path)
        parent.terminate()
    assert parent.returncode == 128 + signal.SIGTERM
    assert not any(map(running, ranks))
