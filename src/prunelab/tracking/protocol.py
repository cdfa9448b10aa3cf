"""What every tracker promises the stages."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from prunelab.core.previews import Preview


class Run(Protocol):
    """One stage being logged."""

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers by name; ``step`` must not decrease within a run."""
        ...

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Record a table of numbers and strings; every row has one cell per column."""
        ...

    def show(self, name: str, preview: Preview) -> None:
        """Record the samples of a preview."""
        ...


class Tracker(Protocol):
    """Opens one run per stage."""

    def stage(
        self, job_type: str, config: Mapping[str, object], inputs: Mapping[str, str], output: str
    ) -> AbstractContextManager[Run]:
        """A run of stage ``job_type`` for the block.

        config: the resolved settings, JSON values. inputs: role -> address of each parent artifact.
        output: the address of what the stage makes.
        """
        ...
