"""How the launcher of ranks ends, in the terms of the command line."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from prunelab.engine import launch as launching

FAILED = ChildFailedError("prunelab", {0: ProcessFailure(local_rank=0, pid=1, exitcode=1, error_file="none")})


def ending(error: Exception | None) -> Callable[..., Callable[..., None]]:
    """torch's launcher, but for the processes."""

    def elastic_launch(config: Any, entrypoint: str) -> Callable[..., None]:
        def run(*arguments: str) -> None:
            assert (config.nproc_per_node, config.max_restarts, arguments) == (2, 0, ("-m", "prunelab"))
            if error is not None:
                raise error

        return run

    return elastic_launch


@pytest.mark.parametrize(("error", "well"), [(None, True), (FAILED, False)])
def test_whether_all_ended_well(monkeypatch: pytest.MonkeyPatch, error: Exception | None, well: bool) -> None:
    monkeypatch.setattr(launching, "elastic_launch", ending(error))
    assert launching.launch(2, ["-m", "prunelab"]) is well


def test_ctrl_c_is_a_keyboard_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "elastic_launch", ending(SignalException("stop", signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        launching.launch(2, ["-m", "prunelab"])


def test_any_other_signal_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "elastic_launch", ending(SignalException("stop", signal.SIGTERM)))
    with pytest.raises(SystemExit) as stop:
        launching.launch(2, ["-m", "prunelab"])
    assert stop.value.code == 128 + signal.SIGTERM
