"""``job.json``: how a job stands, in its own folder, so that any process can read what became of it."""

import json
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from prunelab.core.failures import Failure

JOB = "job.json"
SCHEMA = 1
State = Literal["running", "done", "failed"]
Value = float | list[float] | None


class Attempt(BaseModel):
    """One try of a job: when and where, and where it did not end well of which class that was and why."""

    started: str
    ended: str | None = None
    host: str
    process: int
    slurm_job: str | None = None
    slurm_restarts: int = 0
    failure: Failure | None = None
    message: str | None = None

    def here(self) -> bool:
        """Whether it is of the start of SLURM's job that this process belongs to."""
        return (self.slurm_job, self.slurm_restarts) == (_slurm_job(), _slurm_restarts())


class JobRecord(BaseModel):
    """What stands in the file; see docs/sweeps.md.

    key: a hash of what the job is made of: another configuration is another job. value: what the sweeper was
    given. addresses: of the models in its report, by state.
    """

    version: int = Field(SCHEMA, alias="schema")
    job: str
    number: int | None
    name: str
    words: list[str]
    key: str
    state: State = "running"
    value: Value = None
    addresses: dict[str, str] = {}
    versions: dict[str, str] = {}
    attempts: list[Attempt] = []

    @property
    def last(self) -> Attempt:
        """The attempt that counts."""
        return self.attempts[-1]

    def begin(self) -> None:
        """A new attempt, here and now; what an earlier one left open was ended from outside."""
        for attempt in self.attempts:
            if attempt.ended is None:
                attempt.failure, attempt.message = Failure.LOST, "it ended without a word"
        self.state = "running"
        self.attempts.append(
            Attempt(
                started=now(),
                host=socket.gethostname(),
                process=os.getpid(),
                slurm_job=_slurm_job(),
                slurm_restarts=_slurm_restarts(),
            )
        )

    def end(self, failure: Failure | None = None, message: str | None = None) -> None:
        """The last attempt is over: well, or with a failure."""
        self.state = "done" if failure is None else "failed"
        self.last.ended, self.last.failure, self.last.message = now(), failure, message

    def write(self, folder: Path) -> None:
        """Whole or not at all, so that who reads meanwhile finds no half of it."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / JOB, self.model_dump(by_alias=True, mode="json"))


def read_job(folder: Path) -> JobRecord | None:
    """The record of a job's folder; None where there is none that can be read."""
    content = read_whole(folder / JOB)
    try:
        return JobRecord.model_validate(content) if content is not None else None
    except ValidationError:
        return None


def write_whole(path: Path, content: Any) -> None:
    """JSON under a name that is never half written."""
    aside = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        aside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def read_whole(path: Path) -> Any:
    """The JSON in a file of schema SCHEMA; None where there is no such thing."""
    try:
        content = json.loads(path.read_text("utf-8")) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else None


def now() -> str:
    """The time, as records say it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _slurm_job() -> str | None:
    """The job's id in the queue, of an array's task in the form that squeue takes."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def _slurm_restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT", "0") or 0)


def named(words: Sequence[str], keys: Sequence[str] = ()) -> str:
    """A job by what the command line set for it, of a sweep by what differs between its jobs."""
    own = [word for word in words if not word.startswith("job=")]
    varied = [word for word in own if word.lstrip("+~").partition("=")[0] in keys]
    return " ".join(varied or own)
