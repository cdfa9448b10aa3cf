"""How submitit learns that a job of SLURM's has ended: from the queue, which every cluster has.

Its own watcher asks the accounting alone. Where there is none it waits for ever for a job whose process was
killed, and elsewhere it takes a suspended job for one that has ended. Imported only beside submitit.
"""

import time

from submitit.core.core import InfoWatcher

from prunelab.cli.slurm_queue import ended_as, queued

DELAY = 60  # seconds between two looks at most; the first ones come sooner
ALIVE = "RUNNING"  # what submitit takes for a job that goes on; an unknown word is none


class QueueWatcher(InfoWatcher):
    """Shared by all jobs of a sweep. How a job ended is asked at once, before the controller forgets it."""

    def __init__(self) -> None:
        super().__init__(DELAY)

    def update(self) -> None:
        """One look at the queue for all jobs; one that does not answer says nothing of any."""
        self._num_calls += 1
        self._last_status_check = time.time()
        there = queued()
        if there is None:
            return
        for job in self._registered - self._finished - there:
            self._info_dict[job] = {"State": f"ended as {ended_as(job) or 'nobody knows'}"}
            self._finished.add(job)

    def get_state(self, job_id: str, mode: str = "standard") -> str:
        """``ended as STATE`` of a job that is gone; ALIVE before that."""
        return self.get_info(job_id, mode=mode).get("State", ALIVE)
