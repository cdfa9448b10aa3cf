"""``sweep.json``: which jobs a sweep has, in the folder that holds theirs."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from prunelab.cli.job_record import JobRecord, now, read_job, read_whole, write_whole

SWEEP = "sweep.json"
SCHEMA = 1


class SweepJob(BaseModel):
    """One job: its number from 0, its folder below the sweep's, and what the command line sets for it."""

    number: int
    name: str
    folder: str
    words: list[str]


class SweepRecord(BaseModel):
    """What stands in the file; see docs/sweeps.md.

    words: of the command line. total: how many jobs there will be, as far as is known.
    """

    version: int = Field(SCHEMA, alias="schema")
    job: str
    words: list[str]
    launcher: str
    started: str
    total: int = 0
    finished: bool = False
    jobs: list[SweepJob] = []

    def add(self, jobs: Sequence[SweepJob]) -> None:
        """Jobs that a sweeper has thought of; one of the same number takes the other's place."""
        new = {job.number: job for job in jobs}
        known = {job.number: job for job in self.jobs} | new
        self.jobs = [known[number] for number in sorted(known)]
        self.total = max(self.total, len(self.jobs))

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / SWEEP, self.model_dump(by_alias=True, mode="json"))

    def records(self, folder: Path) -> list[tuple[SweepJob, JobRecord | None]]:
        """Every job with its record, as far as it has one."""
        return [(job, read_job(folder / job.folder)) for job in self.jobs]


def begun(job: str, words: Sequence[str], launcher: str) -> SweepRecord:
    """The record of a sweep that starts now."""
    return SweepRecord(schema=SCHEMA, job=job, words=list(words), launcher=launcher, started=now())


def read_sweep(folder: Path) -> SweepRecord | None:
    """The record of a sweep's folder; None where there is none that can be read."""
    content = read_whole(folder / SWEEP)
    try:
        return SweepRecord.model_validate(content) if content is not None else None
    except ValidationError:
        return None


def unfinished(place: Path, job: str, words: Sequence[str]) -> Path | None:
    """The newest sweep below ``place`` that the same command started and that is not finished."""
    found = [(path.parent, read_sweep(path.parent)) for path in place.glob(f"*/*/{SWEEP}")]
    same = [
        (record.started, folder)
        for folder, record in found
        if record is not None and not record.finished and (record.job, record.words) == (job, list(words))
    ]
    return max(same)[1] if same else None
