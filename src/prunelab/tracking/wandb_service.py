"""wandb's background process: that nothing waits for it without end, and that its end is not the run's."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer

# How long any call may take beyond the time that it was given. Not much shorter: the process writes what it
# was told to the disk every few seconds, and what it had not written is lost with it.
STUCK_SECONDS = 20.0


@contextmanager
def bounded(seconds: float = 0.0) -> Iterator[None]:
    """Kill the background process if the block takes ``STUCK_SECONDS`` more than ``seconds``.

    Whatever waits for an answer then raises: wandb itself waits for a live process as long as it takes.
    """
    before = _process()

    def kill() -> None:
        process = before or _process()
        if process is not None:
            process.kill()

    timer = Timer(seconds + STUCK_SECONDS, kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _process() -> subprocess.Popen[bytes] | None:
    """The background process that this one started, if there is one."""
    from wandb.sdk import wandb_setup

    connection = getattr(wandb_setup._singleton, "_connection", None)
    owned = getattr(connection, "_proc", None)
    process: subprocess.Popen[bytes] | None = getattr(owned, "_process", None)
    return process


def put_away() -> None:
    """Let the background process end; the next run starts a new one.

    wandb's own farewell at exit would print a traceback where the process is dead already. What a teardown
    raises, or exits with, says how the process ended, and that is nobody's business any more.
    """
    import wandb

    with bounded(), suppress(Exception, SystemExit):
        wandb.teardown()


@contextmanager
def starting() -> Iterator[None]:
    """A block that may start the background process: wandb's hooks for exits and errors are taken out again.

    They would print errors a second time and change nothing else: a stage says itself how it ended.
    """
    leave, show = sys.exit, sys.excepthook
    try:
        yield
    finally:
        sys.exit, sys.excepthook = leave, show
        atexit.unregister(put_away)
        atexit.register(put_away)  # runs before what was registered earlier: wandb's own farewell
