"""One stage as one W&B run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prunelab.core.waveforms import to_wav
from prunelab.tracking.lenient import Lenient
from prunelab.tracking.wandb_service import bounded

if TYPE_CHECKING:
    import wandb


class WandbRun:
    """A run that may fail: ``lost`` hears of the first failure, and nothing is logged after it."""

    def __init__(self, run: wandb.Run, lost: Callable[[Exception], None]) -> None:
        self._run, self._lost = run, lost
        self._lenient = Lenient(self._give_up)

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

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        import wandb

        self.attempt(
            lambda run: run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})
        )

    def images(self, name: str, images: NDArray[np.uint8], captions: Sequence[str]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        import wandb

        def show(run: wandb.Run) -> None:
            pairs = zip(map(_picture, images), captions, strict=True)
            run.log({name: [wandb.Image(picture, caption=caption) for picture, caption in pairs]})

        self.attempt(show)

    def sounds(self, name: str, waveforms: NDArray[np.int16], rate: int, captions: Sequence[str]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`.

        wandb takes arrays, and several sounds under one name, only where the soundfile package is: so each
        goes as a file under a name of its own, ``name/0`` and so on.
        """
        import wandb

        def play(run: wandb.Run) -> None:
            with TemporaryDirectory() as folder:
                kept = {}
                for number, (waveform, caption) in enumerate(zip(waveforms, captions, strict=True)):
                    path = Path(folder) / f"{number}.wav"
                    path.write_bytes(to_wav(waveform, rate))
                    kept[f"{name}/{number}"] = wandb.Audio(str(path), caption=caption)
                run.log(kept)

        self.attempt(play)


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    """PIL's view of (height, width, channels): wandb would stretch the range of a bare array."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
