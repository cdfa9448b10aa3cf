"""Jobs that submitit started: all are waited for, whatever became of the first."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any


@contextmanager
def each_waited_for() -> Iterator[list[RuntimeError]]:
    """Inside, a lost job of submitit has no result, instead of an error that leaves the others behind.

    Gives the errors. Hydra's launcher asks one job after another for its result, and the first error ends
    that, while the jobs behind it go on unseen. What became of them is in their records. That a job of
    SLURM's is gone is read from the queue.
    """
    lost: list[RuntimeError] = []
    if "hydra_plugins.hydra_submitit_launcher" not in sys.modules or find_spec("submitit") is None:
        yield lost
        return
    from submitit.core.core import Job
    from submitit.core.utils import FailedJobError, UncompletedJobError
    from submitit.slurm.slurm import SlurmJob

    from prunelab.cli.queue_watcher import QueueWatcher

    logging.getLogger("submitit").setLevel(logging.ERROR)  # it speaks on standard output, of sacct each time
    original, watcher = Job.results, SlurmJob.watcher

    def results(job: Any) -> list[Any]:
        try:
            found: list[Any] = original(job)
        except (UncompletedJobError, FailedJobError) as error:
            lost.append(error)
            return [None]
        return found

    Job.results = results  # type: ignore[method-assign,assignment]
    SlurmJob.watcher = QueueWatcher()  # type: ignore[assignment]
    try:
        yield lost
    finally:
        Job.results = original  # type: ignore[method-assign]
        SlurmJob.watcher = watcher
