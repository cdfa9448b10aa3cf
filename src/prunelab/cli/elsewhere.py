"""A job that a launcher has taken to another process than its command line's, on this machine or another.

There nothing has been prepared for it: what ``main`` does for a command line is done here for one job.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prunelab.core import processes, stopping

Home = tuple[str, int]


def home() -> Home:
    """The name of this process, as another one can tell it from itself."""
    return socket.gethostname(), os.getpid()


def prepare() -> None:
    """What has to be so before torch is imported and a configuration is read."""
    from prunelab.cli.cluster import register

    # Threads that spin are 10-100 times slower on shared cores; results are bitwise at equal thread counts.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us as they are
    register()


@contextmanager
def prepared(line: Home) -> Iterator[None]:
    """Inside, a job of the command line that runs in ``line`` finds what it needs, wherever it runs.

    In the command line's own process that is there already. In another one, tasks of srun are told of each
    other where the profile says so, and signals stop the job as they stop a command line; whoever
    listened before, as submitit does to start a job again whose time runs out, hears them afterwards. A job
    whose parent is the command line, as joblib's are, ends with it.
    """
    if line == home():
        yield
        return
    prepare()
    processes.check()
    silent = not processes.first()
    parent = line[1] if line[0] == socket.gethostname() and line[1] == os.getppid() else None
    with stopping.watched(parent, silent) as watch:
        try:
            yield
        except stopping.Stopped:
            watch.over = True
    if watch.told:
        _pass_on(watch.told, silent)


def _pass_on(number: int, silent: bool) -> None:
    """End as told, after the launcher's own handler has heard of it; one task does so for all."""
    if processes.spoken_for():
        raise SystemExit(0)
    if not silent:
        stopping.say(number)
    if number in stopping.SCHEDULERS and callable(signal.getsignal(number)):
        signal.raise_signal(signal.Signals(number))
    raise stopping.Stopped(number)
