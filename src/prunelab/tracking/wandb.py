"""``logger=wandb``: every stage is a W&B run. The only importer of wandb.

Offline whenever there is no key, or W&B does not answer: nothing waits for the network. What was logged
offline is uploaded by ``wandb sync FOLDER/wandb/offline-run-*``.
"""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prunelab.core.errors import Refusal
from prunelab.core.waveforms import to_wav
from prunelab.tracking.silent import SilentRun

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline", "disabled"]

ANSWER_SECONDS = 10.0  # how long the first stage may wait for W&B before all go offline
UPLOAD_SECONDS = 60.0  # how long the end of a stage may wait for its uploads; the rest stays on disk


class WandbRun:
    """One stage as one W&B run."""

    def __init__(self, run: wandb.Run) -> None:
        self._run = run

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        self._run.log(dict(values), step=step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        import wandb

        self._run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

    def images(self, name: str, images: NDArray[np.uint8], captions: Sequence[str]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`."""
        import wandb

        pairs = zip(map(_picture, images), captions, strict=True)
        self._run.log({name: [wandb.Image(picture, caption=caption) for picture, caption in pairs]})

    def sounds(self, name: str, waveforms: NDArray[np.int16], rate: int, captions: Sequence[str]) -> None:
        """See :class:`prunelab.tracking.protocol.Run`.

        wandb takes arrays, and several sounds under one name, only where the soundfile package is: so each
        goes as a file under a name of its own, ``name/0`` and so on.
        """
        import wandb

        with TemporaryDirectory() as folder:
            kept = {}
            for number, (waveform, caption) in enumerate(zip(waveforms, captions, strict=True)):
                path = Path(folder) / f"{number}.wav"
                path.write_bytes(to_wav(waveform, rate))
                kept[f"{name}/{number}"] = wandb.Audio(str(path), caption=caption)
            self._run.log(kept)


class WandbTracker:
    """Opens W&B runs.

    project, group: where the runs appear. folder: what wandb writes goes to ``folder/wandb``.
    mode: ``online``, ``offline`` or ``disabled``; None follows WANDB_MODE and whether there is a key.
    Raises Refusal when wandb is not installed.
    """

    def __init__(self, project: str, group: str | None, folder: str | Path, mode: Mode | None = None) -> None:
        try:
            import wandb
        except ImportError as error:
            raise Refusal("logger=wandb needs wandb: pip install wandb, or use logger=none") from error
        with _environment(WANDB_SILENT="true"):
            server = wandb.setup().settings.base_url
        self.project, self.group, self.folder = project, group, Path(folder).absolute()
        self.mode: Mode = _mode(mode, os.environ.get("WANDB_MODE"), _has_key(server))

    @contextmanager
    def stage(
        self, job_type: str, config: Mapping[str, object], inputs: Mapping[str, str], output: str
    ) -> Iterator[WandbRun | SilentRun]:
        """See :class:`prunelab.tracking.protocol.Tracker`. Ranks other than the first log nothing."""
        if _rank() != "0":
            yield SilentRun()
            return
        record = {**config, "inputs": dict(inputs), "output": output}
        staging = _environment(WANDB_DATA_DIR=str(self.folder / "wandb"), WANDB_SILENT="true")
        with staging, self._open(job_type, record) as run:
            _link_inputs(run, inputs)
            yield WandbRun(run)
            _link_output(run, job_type, record)

    def _open(self, job_type: str, record: Mapping[str, object]) -> wandb.Run:
        """An online run if that is wanted and W&B answers, else an offline one from now on."""
        import wandb

        try:
            return self._init(job_type, record)
        except wandb.Error as error:
            if self.mode != "online":
                raise
            # The error's own text is not shown: it may quote what was sent.
            reason = type(error).__name__
            print(f"W&B gave no answer ({reason}): logging offline to {self.folder}/wandb", file=sys.stderr)
            self.mode = "offline"
            return self._init(job_type, record)

    def _init(self, job_type: str, record: Mapping[str, object]) -> wandb.Run:
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=self.project,
            group=self.group,
            job_type=job_type,
            name=str(record["output"]),
            config=dict(record),
            dir=self.folder,
            mode=self.mode,
            reinit="create_new",
            settings=wandb.Settings(
                console="off", silent=True, init_timeout=ANSWER_SECONDS, finish_timeout=UPLOAD_SECONDS
            ),
        )


def _mode(asked: Mode | None, environment: str | None, has_key: bool) -> Mode:
    """``disabled`` wins, then whatever says offline, then online where there is a key."""
    said = {asked, environment}
    if "disabled" in said:
        return "disabled"
    return "offline" if said & {"offline", "dryrun"} or not has_key else "online"


def _has_key(base_url: str) -> bool:
    """Whether the environment or the netrc file has an API key for the server; the key is not read."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    paths = [Path(os.environ.get("NETRC", "~/.netrc")), Path("~/_netrc")]
    host = urlsplit(base_url).hostname or ""
    return any(_names_host(path.expanduser(), host) for path in paths)


def _names_host(path: Path, host: str) -> bool:
    try:
        return host in netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False


def _rank() -> str:
    return os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or "0"


@contextmanager
def _environment(**wanted: str) -> Iterator[None]:
    """Set variables for the block, except those that the user has set."""
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    """PIL's view of (height, width, channels): wandb would stretch the range of a bare array."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _link_inputs(run: wandb.Run, inputs: Mapping[str, str]) -> None:
    """Draw the lineage edges from the parents; one that W&B has never seen stays in the config only."""
    import wandb

    if run.offline:
        return
    for parent in inputs.values():
        try:
            run.use_artifact(f"{parent}:latest")
        except (wandb.Error, ValueError):
            print(f"W&B has no artifact {parent}: it is named in the run's config only", file=sys.stderr)


def _link_output(run: wandb.Run, job_type: str, record: Mapping[str, object]) -> None:
    """Name the output as a W&B artifact with its metadata; the weights stay in the store."""
    import wandb

    if not run.offline:
        artifact = wandb.Artifact(cast(str, record["output"]), type=job_type, metadata=dict(record))
        run.log_artifact(artifact)
