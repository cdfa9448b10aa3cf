"""A job in several processes: the command line runs again in each, and their parent speaks for them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.conf import OverridesConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from prunelab.cli.arguments import SEARCH_PATH, quoted
from prunelab.core import processes
from prunelab.core.errors import Refusal
from prunelab.core.failures import Ended, of_words
from prunelab.core.failures import Failure as Class

if TYPE_CHECKING:
    from prunelab.engine.launch import Failure

RANKED = ("run", "pretrain")  # the jobs that have work for more than one process


def wants_ranks(config: DictConfig) -> bool:
    """Whether the job is to run in processes that are not there yet."""
    return config.job in RANKED and config.devices > 1 and not processes.grouped()


def in_ranks(config: DictConfig, folder: Path, overrides: OverridesConf) -> None:
    """The same job in ``config.devices`` processes that torch's elastic launcher starts and watches.

    ``-P`` keeps the current folder out of what they import.
    """
    from prunelab.engine.launch import launch

    words = [word for word in overrides.task if not word.startswith("job=")]
    words += [word for word in overrides.hydra if word.startswith(SEARCH_PATH)]
    words.append(f"hydra.run.dir={quoted(folder)}")
    words += _primary()
    with processes.launching():
        failure = launch(config.devices, ["-P", "-m", "prunelab", config.job, *words])
    if failure is not None:
        raise _refusal(failure)


def _primary() -> list[str]:
    """The switches that choose the same primary configuration again."""
    settings = HydraConfig.get()
    main = next(source.path for source in settings.runtime.config_sources if source.provider == "main")
    return [f"--config-path={main}", f"--config-name={settings.job.config_name}"]


def _refusal(failure: "Failure") -> Refusal:
    """What a rank failed of, with its class."""
    if failure.refusal:
        return Refusal(failure.refusal)
    if failure.killed_by:
        return Ended(_described(failure), Class.LOST)
    return Ended(_described(failure), of_words(failure.traceback))


def _described(failure: "Failure") -> str:
    """What a rank failed of, in one line; its traceback goes before that."""
    if failure.killed_by:
        memory = " (out of memory?)" if failure.killed_by == "SIGKILL" else ""
        return (
            f"process {failure.rank} of this job was killed by {failure.killed_by}{memory}: "
            "run the same command again to resume"
        )
    print(failure.traceback, end="", file=sys.stderr)
    return f"process {failure.rank} of this job failed (exit code {failure.code}); its message is above"


def leave_error(error: Exception) -> None:
    """Let the parent of this rank say what it failed of."""
    from prunelab.engine.launch import leave

    leave(error)
