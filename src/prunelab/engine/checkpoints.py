"""Checkpoints of a run in progress: written aside and renamed, read without unpickling code."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import CheckpointIO

from prunelab.core import stopping
from prunelab.engine import ranks

KEPT = 2  # the newest, and one to fall back on when the newest is broken
PATTERN = "step-*.checkpoint"


class SafeCheckpoints(CheckpointIO):
    """How Lightning's checkpoints touch the disk: a reader finds a whole file or none."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write beside ``path``, flush to the disk, and rename."""
        aside = Path(path).with_suffix(".partial")
        with aside.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Tensors and plain containers only, whatever ``weights_only`` says."""
        loaded: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return loaded

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete the file, if it is there."""
        Path(path).unlink(missing_ok=True)


class Checkpoints(Callback):
    """Saves every ``every`` steps, after step ``last`` and when told to stop; then it does stop.

    Must come after callbacks whose state it saves.
    """

    def __init__(self, folder: Path, every: int, last: int) -> None:
        self.folder, self.every, self.last = folder, every, last

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when the step that just ended, or a signal to any of the ranks, calls for it."""
        step, told = trainer.global_step, ranks.highest(stopping.told())
        if told or step == self.last or step % self.every == 0:
            with stopping.unhurried():
                self._save(trainer, step)
        if told:
            stopping.stop(told)

    def _save(self, trainer: Trainer, step: int) -> None:
        """Save, then drop what is no longer needed."""
        trainer.save_checkpoint(self.folder / f"step-{step:09d}.checkpoint")
        if trainer.is_global_zero:
            for old in sorted(self.folder.glob(PATTERN))[:-KEPT]:
                old.unlink()


def newest(folder: Path) -> Path | None:
    """The latest whole checkpoint in ``folder``, or None; truncated or altered ones are passed over."""
    return next((path for path in sorted(folder.glob(PATTERN), reverse=True) if _whole(path)), None)


def _whole(path: Path) -> bool:
    """Whether every record of the file (torch writes zip archives) has the checksum it was written with."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False
