"""Processes for tests: forked from a server that has imported everything, instead of importing it again.

Torch's autograd does not survive a fork of a process that has trained, so tests cannot fork themselves; the
server has not trained. One server serves all tests of a session (of a worker, with xdist).
"""

import multiprocessing
import os
import runpy
import socket
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["prunelab.cli.jobs", "prunelab.scorers.taylor", "prunelab.recovery.distill"])
MINUTES = 10


def run(job: Path, arguments: Sequence[str], folder: Path, **environment: str) -> str:
    """A script in a process of its own; what it printed. ``folder`` takes what it says."""
    return run_ranks(job, arguments, folder, 1, **environment)


def run_ranks(job: Path, arguments: Sequence[str], folder: Path, count: int, **environment: str) -> str:
    """A script in ``count`` processes that find each other as those of torchrun do; what they printed."""
    ranks = [{**environment, **each} for each in _group(count)]
    started = [_started(job, arguments, folder / f"rank{i}", own) for i, own in enumerate(ranks)]
    return _ended(started, folder)


def _group(count: int) -> list[dict[str, str]]:
    """What the processes of a group have in their environments; one alone is in none."""
    if count == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "TORCHELASTIC_RUN_ID": "tests"}
    group |= {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    return [{**group, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def _started(job: Path, arguments: Sequence[str], said: Path, environment: Mapping[str, str]) -> BaseProcess:
    own = {**os.environ, **environment}
    asked = (str(job), list(arguments), str(said), own, str(Path.cwd()))
    process = CONTEXT.Process(target=_work, args=asked)
    process.start()
    return process


def _ended(processes: Sequence[BaseProcess], folder: Path) -> str:
    """What they printed; fails with what they complained of unless all ended well."""
    for process in processes:
        process.join(MINUTES * 60)
        if process.is_alive():
            process.kill()
            process.join()  # until then it has no exit code, as if it had ended well
    codes = [process.exitcode for process in processes]
    assert not any(codes), (codes, *(file.read_text()[-3000:] for file in sorted(folder.glob("*.err"))))
    return "".join(file.read_text() for file in sorted(folder.glob("*.out")))


def _work(job: str, arguments: list[str], said: str, environment: dict[str, str], folder: str) -> None:
    """In the new process: as if started from a shell, with its output in files."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream, end in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}.{end}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    sys.argv = [job, *arguments]
    runpy.run_path(job, run_name="__main__")
