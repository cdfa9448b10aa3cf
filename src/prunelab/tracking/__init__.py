"""Where stages are logged: one run per stage, to W&B or to nowhere."""

from prunelab.tracking.protocol import Run, Tracker

__all__ = ["Run", "Tracker"]
