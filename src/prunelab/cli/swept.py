"""The two ends of a sweep: which folder it goes on in, and what is said when it is over."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from prunelab.artifacts.disk import refusing_disk_errors
from prunelab.artifacts.locks import taken
from prunelab.cli.arguments import Arguments, quoted
from prunelab.cli.cell import ELSEWHERE, say
from prunelab.cli.driver import DRIVER, Sweep, as_written
from prunelab.cli.job_record import JobRecord
from prunelab.cli.objective import REPORT
from prunelab.cli.standing import LOCKS
from prunelab.cli.sweep_record import SweepJob, unfinished
from prunelab.core import processes

DIRECTORY, CLOCK = "hydra.sweep.dir", "${now:"


def resumed(arguments: Arguments, config: DictConfig) -> list[str]:
    """The word that makes a sweep go on in the folder of the one that the same command left unfinished.

    None where there is no such sweep, where another process drives it, or where the command says a folder.
    """
    written = as_written(config)["dir"]
    if not arguments.many or arguments.asks or CLOCK not in written or processes.grouped():
        return []
    place = Path(written.partition(CLOCK)[0] or ".")
    folder = unfinished(place, arguments.job, arguments.words)
    if folder is None or taken(folder / LOCKS / DRIVER):
        return []
    say(f"resuming the sweep in {folder}")
    return [f"{DIRECTORY}={quoted(folder)}"]


def swept(sweep: Sweep) -> int:
    """Combine the reports of the jobs, say what failed and what did not, and print the sweep's folder.

    1 unless every job is done.
    """
    assert sweep.folder is not None
    records = sweep.records()
    done = [job for job, record in records if record is not None and record.state == "done"]
    if not processes.first():
        return int(len(done) < len(records))
    reports = [sweep.folder / job.folder for job in done if (sweep.folder / job.folder / REPORT).is_file()]
    if reports:
        from prunelab.cli.jobs import combine

        with refusing_disk_errors(sweep.folder, ELSEWHERE):
            combine(sweep.folder, reports)
    for line in failures(records):
        say(f"prunelab: {line}")
    if len(done) < len(records):
        say(f"{len(done)} of {len(records)} jobs are done; the same command tries the others again")
    else:
        sweep.finish()
    if done:
        print(sweep.folder)
    return int(len(done) < len(records))


def failures(records: Sequence[tuple[SweepJob, JobRecord | None]]) -> list[str]:
    """A line for every job that failed."""
    failed = [
        (job, record.last) for job, record in records if record is not None and record.state == "failed"
    ]
    return [f"{job.name}: {attempt.message}" for job, attempt in failed]
