"""How far a run has come, on standard error: moving bars for people, a line now and then for files."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from prunelab.core.screen import SCREEN

LINES = 10  # about how many lines a stage prints where nothing can move


class Bar:
    """Progress towards ``total`` steps: shown by ``move``, left standing by ``close``.

    In a terminal the stages of the job move in a bar of their own above it, which does not stay.
    """

    def __init__(self, describe: str, total: int) -> None:
        self.describe, self.total = describe, total
        self.shown, self.since = 0, time.monotonic()
        self.first: tuple[int, float] | None = None
        console = Console(stderr=True)
        self.progress: Progress | None = None
        if console.is_terminal and not SCREEN.quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self.progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
            if SCREEN.total:
                done = SCREEN.number() - 1
                self.stages = self.progress.add_task("stages", total=SCREEN.all(), completed=done)
            self.task = self.progress.add_task(describe, total=total)
            self.progress.start()

    def move(self, done: int) -> None:
        """``done`` steps of the total are over."""
        now = time.monotonic()
        self.first = self.first or (done, now)
        if self.progress is not None:
            self.progress.update(self.task, completed=done)
        elif SCREEN.verbose or done * LINES // self.total > self.shown * LINES // self.total:
            SCREEN.tell(f"{self.describe}: {', '.join(self._said(done, now))}")
            self.shown = done

    def _said(self, done: int, now: float) -> list[str]:
        """How far the stage is, how long it took since it began or resumed, and how long the rest will."""
        first, since = self.first or (done, now)
        said = [f"{done}/{self.total}", f"{now - self.since:.0f} s"]
        if first < done < self.total:
            said.append(f"{(now - since) / (done - first) * (self.total - done):.0f} s left")
        return [*said, SCREEN.place()] if SCREEN.total else said

    def close(self) -> None:
        """Stop drawing; the stage's last state stays on the screen."""
        if self.progress is not None:
            if SCREEN.total:
                self.progress.remove_task(self.stages)
            self.progress.stop()


class Progression(Callback):
    """Shows a fit or a prediction of ``total`` batches under the name ``describe``; rank 0 only."""

    def __init__(self, describe: str, total: int) -> None:
        self.describe, self.total = describe, total
        self.bar: Bar | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Open the bar where it will be seen once."""
        if trainer.is_global_zero:
            self.bar = Bar(self.describe, self.total)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Steps count from the start of the training, also after a restart."""
        self._move(trainer.global_step)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Batches of this rank; the others are about as far."""
        self._move(batch_idx + 1)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the bar after a run that ended well."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar before an error is shown."""
        self._close()

    def _move(self, done: int) -> None:
        if self.bar is not None:
            self.bar.move(done)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
