"""What SLURM says of jobs, where there is one: its queue and its accounting."""

import re
import shutil
import subprocess
from collections.abc import Sequence

PATIENCE = 20.0  # seconds

_ended: dict[str, str] = {}  # the controller forgets jobs within minutes


def ended_as(job: str | None) -> str:
    """The state in which SLURM has a job that ended, such as ``TIMEOUT``; empty where nobody knows.

    From the controller while it remembers the job, else from the accounting where there is one, which hears
    of it later. What was once learnt is kept.
    """
    if job is not None and job not in _ended:
        state = _controlled(job) or _accounted(job)
        if state:
            _ended[job] = state
    return _ended.get(job or "", "")


def _accounted(job: str) -> str:
    lines = _asked(["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=State"])
    return lines[-1] if lines else ""


def _controlled(job: str) -> str:
    lines = _asked(["scontrol", "--oneliner", "show", "job", job]) or []
    found = re.search(r"\bJobState=(\S+)", lines[0] if lines else "")
    return found[1] if found else ""


def queued() -> set[str] | None:
    """The ids of this user's jobs that have not ended; None where the queue does not answer."""
    lines = _asked(["squeue", "--noheader", "--array", "--me", "--format=%i"])
    return None if lines is None else set(lines)


def waiting(jobs: Sequence[str]) -> dict[str, str]:
    """The state and reason of those that are in the queue, by id: ``PENDING (Resources)``."""
    if not jobs:
        return {}
    asked = ["squeue", "--noheader", "--array", f"--jobs={','.join(jobs)}", "--format=%i|%T|%r"]
    parts = [line.split("|") for line in _asked(asked) or []]
    return {part[0]: f"{part[1]} ({part[2]})" for part in parts if len(part) == 3}


def _asked(words: Sequence[str]) -> list[str] | None:
    """The lines of an answer; None where there is no such program, or none that answers."""
    if shutil.which(words[0]) is None:
        return None
    try:
        found = subprocess.run(list(words), capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if found.returncode:
        return None
    return [line.strip() for line in found.stdout.splitlines() if line.strip()]
