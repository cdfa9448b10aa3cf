"""A job in several processes: the command line runs again in each, and their parent speaks for them."""

import os
from pathlib import Path

from hydra.conf import OverridesConf
from omegaconf import DictConfig

from prunelab.cli.arguments import SEARCH_PATH, quoted
from prunelab.core.errors import Refusal

LAUNCHED = "PRUNELAB_LAUNCHED"  # set for the ranks that a job starts
RANKED = ("run", "pretrain")  # the jobs that have work for more than one process
REFUSED = "refusal.txt"  # how a rank tells its parent why it stopped


def launched() -> bool:
    """Whether this process is a rank that another command line started."""
    return LAUNCHED in os.environ


def wants_ranks(config: DictConfig) -> bool:
    """Whether the job is to run in processes that are not there yet."""
    return config.job in RANKED and config.devices > 1 and "RANK" not in os.environ


def in_ranks(config: DictConfig, folder: Path, overrides: OverridesConf) -> None:
    """The same job in ``config.devices`` processes that torch's elastic launcher starts and watches."""
    from prunelab.engine.launch import launch

    note = folder / REFUSED
    note.unlink(missing_ok=True)
    words = [word for word in overrides.task if not word.startswith("job=")]
    words += [word for word in overrides.hydra if word.startswith(SEARCH_PATH)]
    os.environ[LAUNCHED] = "1"
    try:
        ended_well = launch(
            config.devices, ["-m", "prunelab", config.job, *words, f"hydra.run.dir={quoted(folder)}"]
        )
    finally:
        del os.environ[LAUNCHED]
    if not ended_well:
        raise Refusal(_read(note) or "a process of this job failed; its message is above")


def leave_word(folder: Path, refusal: str) -> None:
    """Write down why a rank stopped; all that stop have the same reason, so any may write."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{REFUSED}.{os.getpid()}"
    aside.write_text(refusal, encoding="utf-8")
    aside.replace(folder / REFUSED)


def _read(note: Path) -> str:
    """The reason in ``note``, which has then done its work; empty where a rank left none."""
    if not note.is_file():
        return ""
    reason = note.read_text("utf-8")
    note.unlink()
    return reason
