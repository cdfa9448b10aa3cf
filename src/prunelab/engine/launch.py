"""Start the ranks of a job on this machine, as torchrun does."""

import logging
import signal
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
    get_error_handler,
)
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from prunelab.core import stopping
from prunelab.core.errors import Refusal


@dataclass(frozen=True)
class Failure:
    """How a rank failed: its number, its exit code, and what it left to be said.

    The code is negative where a signal killed it. refusal: the line, if it was refused, else empty.
    traceback: of the error, if there was one.
    """

    rank: int
    code: int
    refusal: str = ""
    traceback: str = ""

    @property
    def killed_by(self) -> str:
        """The name of the signal that killed it; empty where none did."""
        return signal.Signals(-self.code).name if self.code < 0 else ""

    @property
    def told(self) -> int:
        """The number of the signal that it was told to stop by, also before it could listen; else 0."""
        number = -self.code if self.code < 0 else self.code - 128
        return number if number in stopping.NUMBERS else 0


def launch(devices: int, arguments: Sequence[str]) -> Failure | None:
    """Run ``python ARGUMENTS`` in ``devices`` processes; None if all of them ended well.

    When one fails the others are stopped. Nothing is restarted: what was done is in the store, and the
    same command goes on from there. Raises Stopped when this process, or one of them, was told to stop.
    """
    _silence("torch.distributed.elastic")  # ranks speak for themselves
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        signals_to_handle=",".join(number.name for number in stopping.listening()),
    )
    try:
        with stopping.unhurried():  # the launcher kills ranks that do not stop
            elastic_launch(config, sys.executable)(*arguments)
    except ChildFailedError as error:
        failure = _cause(error)
        if failure.told:
            stopping.stop(failure.told)
        return failure
    except SignalException as stop:
        stopping.stop(stop.sigval)
    finally:
        stopping.take()  # the launcher leaves its handlers behind
    return None


def _silence(package: str) -> None:
    """No logger of the package prints: some have a level of their own, which their parent's does not move."""
    for name in [package, *logging.root.manager.loggerDict]:
        if name.startswith(package):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def leave(error: Exception) -> None:
    """Write down, in a rank, what it failed of: the others fail in its wake, and one message is enough."""
    get_error_handler().record_exception(error)


def _cause(error: ChildFailedError) -> Failure:
    """A refusal, else the failure that was there before those of the processes that were stopped for it."""
    failures = [_failure(rank, found) for rank, found in error.failures.items()]
    return next((failure for failure in failures if failure.refusal), failures[0])


def _failure(rank: int, found: ProcessFailure) -> Failure:
    """A failure in the launcher's terms; its file holds what ``leave`` has written."""
    message = found.error_file_data["message"]
    if not isinstance(message, dict):
        return Failure(rank, found.exitcode)
    kind, _, reason = message["message"].partition(": ")
    refusal = reason if kind == Refusal.__name__ else ""
    return Failure(rank, found.exitcode, refusal, message["extraInfo"]["py_callstack"])
