"""Which process of how many this is, and who started it: what the environment says, read here alone.

torchrun, and the launcher of ``devices=N``, tell their processes about each other. srun starts processes that
know nothing of each other: each would do the whole job, beside the others.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prunelab.core.errors import Refusal

LAUNCHED = "PRUNELAB_LAUNCHED"  # for the ranks that a job starts: the process that does


def rank() -> int:
    """The number of this process among those that share its job, from 0."""
    return _number(os.environ, "RANK", 0)


def world() -> int:
    """How many processes share the job, on all machines."""
    return _number(os.environ, "WORLD_SIZE", 1)


def local_rank() -> int:
    """The number of this process among those of its machine: that of its GPU."""
    return _number(os.environ, "LOCAL_RANK", 0)


def local_world() -> int:
    """How many of them are on this machine."""
    return _number(os.environ, "LOCAL_WORLD_SIZE", 1)


def first() -> bool:
    """Whether this process speaks for all."""
    return (rank() or _stepped(os.environ)[0]) == 0


def grouped() -> bool:
    """Whether a launcher has told this process about the others."""
    return "RANK" in os.environ


def launched() -> bool:
    """Whether this process is a rank that another command line started, and that speaks for it."""
    return LAUNCHED in os.environ


def launcher() -> int | None:
    """The process that started this rank and speaks for it; None where this process is none."""
    return _number(os.environ, LAUNCHED, 0) if launched() else None


@contextmanager
def launching() -> Iterator[None]:
    """Inside, processes that are started know that this one speaks for them."""
    os.environ[LAUNCHED] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[LAUNCHED]


def check() -> None:
    """Refuse to be one of several processes that know nothing of each other."""
    _, count = _stepped(os.environ)
    if count > 1:
        raise Refusal(
            f"srun started {count} processes, each of which would do the whole job: start one "
            f"(srun --ntasks=1 --cpus-per-task=N) with devices={count}, or torchrun in each node"
        )


def _stepped(environment: Mapping[str, str]) -> tuple[int, int]:
    """Number and count of the processes that srun started; (0, 1) where another launcher grouped them.

    The script of a batch job is one process whatever its job has room for: it has a job, but no step.
    """
    script = "SLURM_JOB_ID" in environment and "SLURM_STEP_ID" not in environment
    if "RANK" in environment or "SLURM_PROCID" not in environment or script:
        return 0, 1
    tasks = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environment else "SLURM_NTASKS"
    return _number(environment, "SLURM_PROCID", 0), _number(environment, tasks, 1)


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal():
        raise Refusal(f"the environment has {name}={text!r}, which is no number: unset it, or start anew")
    return int(text)
