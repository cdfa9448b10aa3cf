"""``logger=none``: the stages run, nothing is logged, nothing is imported."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity


class SilentRun:
    """A run that forgets what it is told."""

    listens = False

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Nothing."""

    def conclude(self, values: Mapping[str, float], quantities: Mapping[str, Quantity] | None = None) -> None:
        """Nothing."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Nothing."""

    def histogram(self, name: str, values: NDArray[Any]) -> None:
        """Nothing."""

    def show(self, name: str, preview: Preview, step: int | None = None) -> None:
        """Nothing."""

    def keep(self, folder: Path) -> None:
        """Nothing."""


class SilentTracker:
    """Opens silent runs."""

    @contextmanager
    def stage(
        self,
        job_type: str,
        config: Mapping[str, object],
        inputs: Mapping[str, str],
        output: str,
        *,
        label: str = "",
        tags: Sequence[str] = (),
    ) -> Iterator[SilentRun]:
        """See :class:`prunelab.tracking.protocol.Tracker`."""
        yield SilentRun()
