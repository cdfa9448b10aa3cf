"""One stage as one W&B run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from PIL import Image

from prunelab.core.previews import Preview
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

    def show(self, name: str, preview: Preview) -> None:
        """See :class:`prunelab.tracking.protocol.Run`.

        Stills go under one name. What is played goes as files, each under a name of its own, ``name/0`` and
        so on: wandb takes several under one only where it can open them, with packages such as soundfile.
        """
        import wandb

        def act(run: wandb.Run) -> None:
            if not preview.played:
                pairs = zip(preview.stills, preview.captions, strict=True)
                run.log({name: [wandb.Image(Image.open(BytesIO(png)), caption=said) for png, said in pairs]})
                return
            kind = wandb.Audio if preview.shown_as == "audio" else wandb.Video
            with TemporaryDirectory() as folder:
                kept = {}
                for number, (content, said) in enumerate(zip(preview.played, preview.captions, strict=True)):
                    path = Path(folder) / f"{number}.{preview.kind.partition('/')[2]}"
                    path.write_bytes(content)
                    kept[f"{name}/{number}"] = kind(str(path), caption=said)
                run.log(kept)

        self.attempt(act)
