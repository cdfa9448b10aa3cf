"""``logger=tensorboard`` and ``logger=csv``: stages as runs of Lightning's own loggers, a folder each."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image

from prunelab.core import processes
from prunelab.core.errors import Refusal
from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity
from prunelab.tracking.silent import SilentRun

Kind = Literal["tensorboard", "csv"]


class LightningRun:
    """One stage, in a folder of its own: numbers by Lightning's logger, tables and media as files beside."""

    listens = True

    def __init__(self, logger: CSVLogger | TensorBoardLogger) -> None:
        self._logger, self.folder = logger, Path(logger.log_dir)
        self._board = logger.experiment if isinstance(logger, TensorBoardLogger) else None

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        self._logger.log_metrics(dict(values), step=step)

    def conclude(self, values: Mapping[str, float], quantities: Mapping[str, Quantity] | None = None) -> None:
        """See :class:`prunelab.tracking.protocol.Run`; these loggers have no place for what numbers are."""
        self._logger.log_metrics(dict(values), step=0)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        text = io.StringIO()
        csv.writer(text).writerows([columns, *rows])
        self._write(f"{name}.csv", text.getvalue().encode())

    def histogram(self, name: str, values: NDArray[Any]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`; of a CSV file's the counts."""
        if self._board is not None:
            self._board.add_histogram(name, values)
            return
        counts, edges = np.histogram(values, bins=64)
        self.table(name, ("from", "to", "count"), list(zip(edges[:-1], edges[1:], counts, strict=True)))

    def show(self, name: str, preview: Preview, step: int | None = None) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        at = "" if step is None else f"-{step}"
        for number, still in enumerate(preview.stills):
            if self._board is None:
                self._write(f"{name}{at}-{number}.png", still)
            else:
                pixels = np.asarray(Image.open(io.BytesIO(still)).convert("RGB"))
                self._board.add_image(f"{name}/{number}", pixels, step, dataformats="HWC")
        suffix = preview.kind.partition("/")[2]
        for number, played in enumerate(preview.played):
            self._write(f"{name}{at}-{number}.{suffix}", played)

    def keep(self, folder: Path) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        self._write("result.txt", f"{folder}\n".encode())

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class LightningTracker:
    """Opens runs of the logger ``kind`` in ``folder/KIND/STAGE/ADDRESS``.

    A stage that resumes adds to its own run; in CSV, whose logger begins by deleting, it is ``ADDRESS-2``.
    """

    def __init__(self, kind: Kind, folder: str | Path) -> None:
        if kind not in ("tensorboard", "csv"):
            raise Refusal(f"logger.kind={kind}: it is tensorboard or csv")
        self.kind, self.folder = kind, Path(folder).absolute() / kind

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
    ) -> Iterator[LightningRun | SilentRun]:
        """See :class:`prunelab.tracking.protocol.Tracker`. Ranks other than the first log nothing."""
        if not processes.first():
            yield SilentRun()
            return
        kind = TensorBoardLogger if self.kind == "tensorboard" else CSVLogger
        try:
            logger = kind(self.folder, name=job_type, version=self._version(job_type, output))
        except ModuleNotFoundError as error:
            line = (
                "logger=tensorboard needs tensorboard: pip install prunelab[tensorboard], or use logger=csv"
            )
            raise Refusal(line) from error
        told = {"label": label, "tags": " ".join(tags)} if label or tags else {}
        logger.log_hyperparams({**config, **told, "inputs": dict(inputs), "output": output})
        yield LightningRun(logger)
        logger.finalize("success")

    def _version(self, job_type: str, output: str) -> str:
        before = len(list((self.folder / job_type).glob(f"{output}*"))) if self.kind == "csv" else 0
        return f"{output}-{before + 1}" if before else output
