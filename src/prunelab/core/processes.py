"""Which process of how many this is, and who started it: what the environment says, read here alone.

torchrun, and the launcher of ``devices=N``, tell their processes about each other. srun starts processes that
know nothing of each other: each would do the whole job, beside the others. Where the environment has
``PRUNELAB_SRUN=ranks``, as job scripts set it, they are told here, in torchrun's words.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prunelab.core.errors import Refusal

LAUNCHED = "PRUNELAB_LAUNCHED"  # for the ranks that a job starts: the process that does
SRUN = "PRUNELAB_SRUN"  # "ranks": the tasks of a step are the ranks of one job
SCHEDULER = {
    "SLURM_JOB_ID": "SLURM job",
    "SLURM_ARRAY_TASK_ID": "array task",
    "SLURMD_NODENAME": "node",
    "SLURM_RESTART_COUNT": "restarts",
}
COURTESY = 10.0  # seconds that a task which fails leaves to the first one to say why
PORTS = range(15000, 30000)  # where the tasks of a step meet: outside of those that systems hand out
STEPS = 16  # of a job, before two of them could meet at one port


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


def of_a_step() -> bool:
    """Whether srun started the ranks of this job, which have the same numbers there."""
    told = (("RANK", "SLURM_PROCID"), ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"))
    return grouped() and all(os.environ.get(ours) == os.environ.get(its) for ours, its in told)


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
    """Refuse to be one of several that know nothing of each other; the tasks of srun are told, if asked."""
    number, count = _stepped(os.environ)
    if count == 1:
        return
    if os.environ.get(SRUN) != "ranks":
        raise Refusal(
            f"srun started {count} processes, each of which would do the whole job: start one "
            f"(srun --ntasks=1 --cpus-per-task=N) with devices={count}, or set {SRUN}=ranks to join them"
        )
    os.environ.update(_joined(os.environ, number, count))


def spoken_for() -> bool:
    """Whether another task of srun's says how this job ends."""
    return os.environ.get(SRUN) == "ranks" and not launched() and not first()


def leave_the_word() -> None:
    """Let the first task of srun's say why all of them fail; srun then ends this one."""
    if spoken_for():
        time.sleep(COURTESY)


def scheduled() -> dict[str, str]:
    """Where SLURM runs this job, and how often it has done so before, as a report says it; else empty."""
    return {name: os.environ[key] for key, name in SCHEDULER.items() if os.environ.get(key)}


def _joined(environment: Mapping[str, str], number: int, count: int) -> dict[str, str]:
    """What torchrun would tell the tasks of a step about each other."""
    each = re.fullmatch(r"(\d+)(\(x\d+\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    if each is None:
        raise Refusal(
            f"srun started {count} processes, not as many on every node: give --nodes and --ntasks-per-node"
        )
    job, step = (_number(environment, f"SLURM_{name}_ID", 0) for name in ("JOB", "STEP"))
    met = {
        "MASTER_ADDR": _first_host(environment.get("SLURM_STEP_NODELIST", "localhost")),
        "MASTER_PORT": str(PORTS[(job * STEPS + step) % len(PORTS)]),
    }
    return {
        **{name: environment.get(name, value) for name, value in met.items()},
        "RANK": str(number),
        "WORLD_SIZE": str(count),
        "LOCAL_RANK": str(_number(environment, "SLURM_LOCALID", 0)),
        "LOCAL_WORLD_SIZE": each[1],
    }


def _first_host(listed: str) -> str:
    """The first of hosts as SLURM lists them: ``n01`` of ``n[01-03,7]-ib,login``."""
    found = re.match(r"([^,\[]*)(?:\[(\d+)[^\]]*\]([^,\[]*))?", listed)
    assert found is not None
    return "".join(part for part in found.groups() if part)


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
