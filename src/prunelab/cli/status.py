"""``prunelab status`` and ``collect``: how the jobs of a sweep stand, and the table of what is done."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prunelab.artifacts.locks import taken
from prunelab.cli.driver import DRIVER
from prunelab.cli.job_record import JOB, Attempt, JobRecord, read_job
from prunelab.cli.slurm_queue import waiting
from prunelab.cli.standing import LOCKS, held
from prunelab.cli.sweep_record import SWEEP, SweepJob, SweepRecord, read_sweep
from prunelab.cli.swept import failures
from prunelab.core.errors import Refusal
from prunelab.core.failures import POLICIES

SUBMITTED = ".submitit"  # where submitit keeps what it sends, a folder by id of the queue


@dataclass(frozen=True)
class Standing:
    """A job in one word, and the reason in some more."""

    job: SweepJob
    state: str
    why: str


def status(path: Path) -> int:
    """Print how the jobs of every sweep at or below ``path`` stand; of a single job's folder that job."""
    single = read_job(path)
    if single is not None:
        job = SweepJob(number=single.number or 0, name=single.name, folder=".", words=single.words)
        print(_line(_standing(job, single, alive=single.state == "running", queue={}, turn="")))
        return 0
    for folder, sweep in _sweeps(path):
        found = list(_standings(folder, sweep))
        counts = Counter(each.state for each in found)
        told = ", ".join(f"{count} {state}" for state, count in counts.items())
        print(f"{folder}: {len(found)} jobs of {sweep.launcher}: {told}")
        for each in found:
            print(_line(each))
    return 0


def collect(path: Path) -> int:
    """Combine the reports of the jobs that are done into the sweep's own folder, and name the others."""
    from prunelab.cli.cell import say
    from prunelab.cli.jobs import combine

    for folder, sweep in _sweeps(path):
        records = sweep.records(folder)
        done = [job for job, record in records if record is not None and record.state == "done"]
        if not done:
            raise Refusal(f"{folder} has no finished job with a report yet: see prunelab status {folder}")
        combine(folder, [folder / job.folder for job in done])
        for line in failures(records):
            say(f"failed: {line}")
        say(f"{len(done)} of {max(sweep.total, len(records))} jobs are done")
        print(folder.absolute())
    return 0


def _sweeps(path: Path) -> list[tuple[Path, SweepRecord]]:
    """The sweeps at or below a folder, oldest first."""
    places = [path] if (path / SWEEP).is_file() else sorted(each.parent for each in path.rglob(SWEEP))
    found = [(place, record) for place in places if (record := read_sweep(place)) is not None]
    if not found:
        raise Refusal(f"no sweep at or below {path}: a folder of one has a {SWEEP}, that of a job a {JOB}")
    return found


def _standings(folder: Path, sweep: SweepRecord) -> Iterator[Standing]:
    records = sweep.records(folder)
    queue = waiting(sorted({*_queued(folder, records)}))
    driven = taken(folder / LOCKS / DRIVER)
    pending = sorted({state for state in queue.values() if state.startswith("PENDING")})
    rest = (
        "for its turn" if driven else "but nobody drives this sweep: run the same command again to resume it"
    )
    for job, record in records:
        yield _standing(job, record, held(folder, job), queue, ", ".join(pending) or rest)
    for number in range(len(records), sweep.total):
        later = SweepJob(number=number, name="to be thought of by the sweeper", folder="", words=[])
        yield Standing(later, "waiting", rest)


def _queued(folder: Path, records: list[tuple[SweepJob, JobRecord | None]]) -> Iterator[str]:
    """The ids that a sweep's jobs have in SLURM's queue."""
    attempts = [record.last for _, record in records if record is not None and record.attempts]
    yield from (each.slurm_job for each in attempts if each.slurm_job is not None and each.ended is None)
    if (folder / SUBMITTED).is_dir():
        yield from (
            name for each in (folder / SUBMITTED).iterdir() if (name := each.name.partition("_")[0]).isdigit()
        )


def _standing(
    job: SweepJob, record: JobRecord | None, alive: bool, queue: dict[str, str], turn: str
) -> Standing:
    if record is None or not record.attempts:
        return Standing(job, "waiting", turn)
    last = record.last
    if record.state == "done":
        return Standing(job, "done", f"{_took(last)} on {last.host}")
    if record.state == "failed":
        again = f" ({len(record.attempts)} attempts)" if len(record.attempts) > 1 else ""
        policy = POLICIES[last.failure].advice if last.failure else ""
        return Standing(job, "failed", f"{last.failure}{again}: {last.message} [{policy}]")
    if last.slurm_job in queue:
        return Standing(
            job, "running", f"{queue[last.slurm_job]}, job {last.slurm_job}, since {last.started}"
        )
    if alive:
        return Standing(job, "running", f"since {last.started} on {last.host}, process {last.process}")
    return Standing(job, "failed", f"node lost: process {last.process} on {last.host} ended without a word")


def _took(attempt: Attempt) -> str:
    if attempt.ended is None:
        return "?"
    seconds = (
        datetime.fromisoformat(attempt.ended) - datetime.fromisoformat(attempt.started)
    ).total_seconds()
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


def _line(standing: Standing) -> str:
    return f"{standing.job.number + 1:5d} {standing.state:8s} {standing.job.name}: {standing.why}"
