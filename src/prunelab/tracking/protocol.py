"""What every tracker promises the stages."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Run(Protocol):
    """One stage being logged."""

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers by name; ``step`` must not decrease within a run."""
        ...

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Record a table of numbers and strings; every row has one cell per column."""
        ...

    def images(self, name: str, images: NDArray[np.uint8], captions: Sequence[str]) -> None:
        """Record images, uint8 of shape (n, height, width, channels) with 1 or 3 channels, n captions."""
        ...

    def sounds(self, name: str, waveforms: NDArray[np.int16], rate: int, captions: Sequence[str]) -> None:
        """Record sounds, int16 of shape (n, channels, samples), ``rate`` samples per second, n captions."""
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
