"""What SLURM says of jobs, where there is one: its queue and its accounting."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence

PATIENCE = 20.0  # seconds
HASTE = 3.0  # of a process that was told to end
EARLY = 90.0  # seconds before a notice is due by which SLURM, which looks twice a minute, may give it

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


def late(notice: float) -> bool:
    """Whether the time of this process's job of SLURM runs out, told ``notice`` seconds before.

    Not outside of a job, nor where nobody knows. SLURM 23 and later has the end in the environment.
    """
    job, end = (os.environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_JOB_END_TIME"))
    if end.isdecimal():
        left: float | None = int(end) - time.time()
    else:
        asked = ["squeue", "--noheader", f"--jobs={job}", "--format=%L"]
        left = seconds(" ".join(_asked(asked, HASTE) or [])) if job else None
    return left is not None and left < notice + EARLY


def seconds(text: str) -> float | None:
    """How long ``1-02:03:04``, ``2:03:04`` or ``3:04`` is; None of another text, such as UNLIMITED."""
    found = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", text)
    if found is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60.0 + rest


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


def _asked(words: Sequence[str], patience: float = PATIENCE) -> list[str] | None:
    """The lines of an answer; None where there is no such program, or none that answers."""
    if shutil.which(words[0]) is None:
        return None
    try:
        found = subprocess.run(list(words), capture_output=True, text=True, timeout=patience, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if found.returncode:
        return None
    return [line.strip() for line in found.stdout.splitlines() if line.strip()]
