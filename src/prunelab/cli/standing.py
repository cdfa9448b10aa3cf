"""How a job of a sweep stands: begun, finished, or held by somebody at this moment."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from prunelab.artifacts.locks import taken
from prunelab.cli.job_record import SCHEMA, JobRecord, read_job
from prunelab.cli.objective import REPORT
from prunelab.cli.sweep_record import SweepJob
from prunelab.core.versions import versions

LOCKS = ".locks"
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


def key(config: DictConfig) -> str:
    """What a job is made of, as a hash: its configuration as written, and the version of prunelab."""
    written = OmegaConf.to_container(config, resolve=False)
    assert isinstance(written, dict)
    parts = {str(name): value for name, value in written.items() if name not in HOW}
    text = json.dumps([parts, versions()["prunelab"]], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def lock_file(sweep: Path, job: SweepJob) -> Path:
    """The file that who runs the job holds."""
    folder = sweep / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{job.number}.lock"


def held(sweep: Path, job: SweepJob) -> bool:
    """Whether somebody runs the job at this moment."""
    return taken(sweep / LOCKS / f"{job.number}.lock")
