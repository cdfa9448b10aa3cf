"""What SLURM says of jobs, where there is one: its queue and its accounting."""

import shutil
import subprocess
from collections.abc import Sequence

PATIENCE = 20.0  # seconds


def ended_as(job: str | None) -> str:
    """The state in which accounting has a job that ended, such as ``TIMEOUT``; empty where nobody knows."""
    if job is None:
        return ""
    lines = _asked(["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=State"])
    return lines[-1] if lines else ""


def waiting(jobs: Sequence[str]) -> dict[str, str]:
    """The state and reason of those that are in the queue, by id: ``PENDING (Resources)``."""
    if not jobs:
        return {}
    lines = _asked(["squeue", "--noheader", "--array", f"--jobs={','.join(jobs)}", "--format=%i|%T|%r"])
    parts = [line.split("|") for line in lines]
    return {part[0]: f"{part[1]} ({part[2]})" for part in parts if len(part) == 3}


def _asked(words: Sequence[str]) -> list[str]:
    """The lines of an answer; none where there is no such program, or none that answers."""
    if shutil.which(words[0]) is None:
        return []
    try:
        found = subprocess.run(list(words), capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in found.stdout.splitlines() if line.strip()]
