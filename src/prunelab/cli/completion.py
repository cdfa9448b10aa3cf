"""Tab completion: Hydra completes keys and choices, and knows nothing of jobs."""

from collections.abc import Sequence

from prunelab.cli.arguments import JOBS


def of_jobs(line: str) -> list[str]:
    """The jobs that the last word of a command line may become; none where it has one."""
    words, last = _taken_apart(line)
    return [] if set(words) & set(JOBS) else [job for job in JOBS if job.startswith(last)]


def without_job(line: str) -> str:
    """The command line that Hydra completes the last word of."""
    words, last = _taken_apart(line)
    return " ".join([*(word for word in words if word not in JOBS), last])


def _taken_apart(line: str) -> tuple[Sequence[str], str]:
    """The words before the cursor's, the program among them, and the word that is being written."""
    *words, last = line.split(" ")
    return words, last
