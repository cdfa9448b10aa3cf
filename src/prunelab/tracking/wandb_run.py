"""One stage as one W&B run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity
from prunelab.tracking.lenient import Lenient
from prunelab.tracking.wandb_service import bounded

if TYPE_CHECKING:
    import wandb

BINS = 64  # of a histogram
SUMMARY = {"lower": "min", "higher": "max"}  # of a metric's values, the one that W&B shows as its result


class WandbRun:
    """A run that may fail: ``lost`` hears of the first failure, and nothing is logged after it."""

    def __init__(self, run: wandb.Run, lost: Callable[[Exception], None]) -> None:
        self._run, self._lost = run, lost
        self.folder: Path | None = None
        self._lenient = Lenient(self._give_up)

    @property
    def listens(self) -> bool:
        """Whether the run still takes anything."""
        return not self._lenient.failed

    def attempt(self, act: Callable[[wandb.Run], Any], seconds: float = 0.0) -> None:
        """Do something to the run unless it failed before; ``seconds`` is how long that may well take."""
        if not self._lenient.failed:
            with self._lenient, bounded(seconds):
                act(self._run)

    def _give_up(self, error: Exception) -> None:
        """What was logged up to here is kept, if the background process is still there to keep it."""
        with suppress(Exception), bounded():
            self._run.finish(exit_code=1)
        self._lost(error)

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        self.attempt(lambda run: run.log(dict(values), step=step))

    def conclude(self, values: Mapping[str, float], quantities: Mapping[str, Quantity] | None = None) -> None:
        """See :class:`prunelab.tracking.protocol.Run`.

        Which way is better is W&B's own ``define_metric``; titles and units, which it has no place for, stand
        in the config.
        """
        told = quantities or {}

        def act(run: wandb.Run) -> None:
            for name, quantity in told.items():
                run.define_metric(name, summary=SUMMARY.get(quantity.better, "last"))
            if told:
                said = {name: quantity.as_json() for name, quantity in told.items()}
                run.config.update({"quantities": said}, allow_val_change=True)
            run.summary.update(dict(values))

        self.attempt(act)

    def keep(self, folder: Path) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        self.folder = folder

    def histogram(self, name: str, values: NDArray[Any]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        import wandb

        counted = np.histogram(values, bins=BINS)
        self.attempt(lambda run: run.log({name: wandb.Histogram(np_histogram=counted)}))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        import wandb

        self.attempt(
            lambda run: run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})
        )

    def show(self, name: str, preview: Preview, step: int | None = None) -> None:
        """See :class:`prunelab.tracking.protocol.Run`.

        Stills go under one name. What is played goes as files, each under a name of its own, ``name/0`` and
        so on: wandb takes several under one only where it can open them, with packages such as soundfile.
        """
        import wandb

        def act(run: wandb.Run) -> None:
            if not preview.played:
                pairs = zip(preview.stills, preview.captions, strict=True)
                pictures = [wandb.Image(Image.open(BytesIO(png)), caption=said) for png, said in pairs]
                run.log({name: pictures}, step=step)
                return
            kind = wandb.Audio if preview.shown_as == "audio" else wandb.Video
            with TemporaryDirectory() as folder:
                kept = {}
                for number, (content, said) in enumerate(zip(preview.played, preview.captions, strict=True)):
                    path = Path(folder) / f"{number}.{preview.kind.partition('/')[2]}"
                    path.write_bytes(content)
                    kept[f"{name}/{number}"] = kind(str(path), caption=said)
                run.log(kept, step=step)

        self.attempt(act)
