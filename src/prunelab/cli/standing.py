"""How a job of a sweep stands: begun, finished, or held by somebody at this moment."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from prunelab.artifacts.locks import taken
from prunelab.cli.job_record import SCHEMA, JobRecord, read_job
from prunelab.cli.objective import REPORT
from prunelab.cli.sweep_record import SweepJob
from prunelab.core.contents import state
from prunelab.core.errors import Refusal
from prunelab.core.versions import versions

LOCKS = ".locks"
PULSE = 0.5  # seconds between two looks at a record
PLACES = ("path", "folder")  # what files and folders that are read are called in every part
# What decides no result.
HOW = (
    *("hydra", "trainer", "devices", "cluster", "logger", "group", "store"),
    *("objective", "keep", "quiet", "verbose"),
)


def begun(folder: Path, config: DictConfig, number: int | None, name: str, words: Sequence[str]) -> JobRecord:
    """The record of a job that starts now, with the attempts of before."""
    before = read_job(folder)
    return JobRecord(
        schema=SCHEMA,
        job=config.job,
        number=number,
        name=name,
        words=list(words),
        key=key(config),
        versions=versions(),
        attempts=before.attempts if before is not None else [],
    )


def finished(folder: Path, key: str) -> JobRecord | None:
    """The record of a job that ended well, if it was that of this ``key`` and its report is still there."""
    record = read_job(folder)
    if record is None or record.state != "done" or record.key != key:
        return None
    return record if not record.addresses or (folder / REPORT).is_file() else None


def finished_before(folder: Path, key: str) -> bool:
    """Whether the first task of this one's step finds the job finished; waits until it has looked.

    A record changes in the hands of who holds the job alone: it is finished for both, or it comes to say that
    this very start of SLURM's job has begun it.
    """
    while finished(folder, key) is None:
        record = read_job(folder)
        if record is not None and record.attempts and record.last.here():
            return False
        time.sleep(PULSE)
    return True


def key(config: DictConfig) -> str:
    """What a job is made of, as a hash: its configuration as written, prunelab's version, and its inputs.

    Those are what ``path`` and the like name: every file's name, size and time of the last change. A file
    that was only touched makes another job of it, which finds everything in the store.
    """
    written = OmegaConf.to_container(config, resolve=False)
    assert isinstance(written, dict)
    parts = {str(name): value for name, value in written.items() if name not in HOW}
    looks = {place: _look(place) for place in sorted(set(_places(parts)))}
    text = json.dumps([parts, versions()["prunelab"], looks], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _look(place: str) -> list[list[str | int]]:
    """The state of a file or folder; of one that cannot be read none, as who reads it says why."""
    try:
        return state(place)
    except (Refusal, OSError, ValueError, RuntimeError):
        return []


def _places(node: Any, name: str = "") -> Iterator[str]:
    """The values, anywhere in a configuration, of keys that name files and folders; references aside."""
    if isinstance(node, Mapping | list):
        inner = node.items() if isinstance(node, Mapping) else ((name, each) for each in node)
        for key, value in inner:
            yield from _places(value, name if key == "_args_" else str(key))
    elif isinstance(node, str) and name in PLACES and "${" not in node:
        yield node


def lock_file(sweep: Path, job: SweepJob) -> Path:
    """The file that who runs the job holds."""
    folder = sweep / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{job.number}.lock"


def held(sweep: Path, job: SweepJob) -> bool:
    """Whether somebody runs the job at this moment."""
    return taken(sweep / LOCKS / f"{job.number}.lock")
