"""What every tracker promises the stages."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity


class Run(Protocol):
    """One stage, or the summary of a job, being logged.

    listens: whether anything is kept; what is costly to make is made only then.
    """

    @property
    def listens(self) -> bool:
        """See above."""
        ...

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers by name; ``step`` must not decrease within a run."""
        ...

    def conclude(self, values: Mapping[str, float], quantities: Mapping[str, Quantity] | None = None) -> None:
        """Record what the run ends with, a number per name; ``quantities`` describe some of the names."""
        ...

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Record a table of numbers and strings; every row has one cell per column."""
        ...

    def histogram(self, name: str, values: NDArray[Any]) -> None:
        """Record how numbers, of any shape, are distributed."""
        ...

    def show(self, name: str, preview: Preview, step: int | None = None) -> None:
        """Record the samples of a preview, of a training those at ``step``."""
        ...

    def keep(self, folder: Path) -> None:
        """Say where the result lies; ``folder`` is whole by now."""
        ...


class Tracker(Protocol):
    """Opens one run per stage, and one per job that sums it up."""

    def stage(
        self,
        job_type: str,
        config: Mapping[str, object],
        inputs: Mapping[str, str],
        output: str,
        *,
        label: str = "",
        tags: Sequence[str] = (),
    ) -> AbstractContextManager[Run]:
        """A run of stage ``job_type`` for the block.

        config: the resolved settings, JSON values. inputs: role -> address of each parent artifact.
        output: the address of what the stage makes; the run of one that was interrupted is continued.
        label: of a whole job, the run's name. tags: short texts that runs are found by.
        """
        ...
