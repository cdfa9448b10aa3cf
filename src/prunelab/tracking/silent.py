"""``logger=none``: the stages run, nothing is logged, nothing is imported."""

from contextlib import AbstractContextManager, nullcontext


class SilentRun:
    """A run that forgets what it is told."""

    listens = False

    def log(self, *told: object, **named: object) -> None:
        """Nothing."""

    conclude = table = histogram = show = keep = log


class SilentTracker:
    """Opens silent runs."""

    def stage(self, *told: object, **named: object) -> AbstractContextManager[SilentRun]:
        """See :class:`prunelab.tracking.protocol.Tracker`."""
        return nullcontext(SilentRun())
