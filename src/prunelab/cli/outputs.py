"""Where a job writes: looked at before it starts."""

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from prunelab.cli.arguments import one_line
from prunelab.cli.declarations import check_value
from prunelab.cli.plugins import check_installed, check_storage
from prunelab.cli.resolving import OF_A_JOB
from prunelab.core.errors import Refusal
from prunelab.core.settings import Place

OUTPUTS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")


def check_outputs(config: DictConfig) -> None:
    """Refuse a folder for a job's outputs, a store or a search's database, that is none or can be none."""
    for name in ("launcher", "sweeper"):
        target = OmegaConf.select(config, f"hydra.{name}._target_", throw_on_resolution_failure=False)
        if target is None:
            raise Refusal(f"hydra.{name} starts nothing: leave it out, or hydra/{name}=NAME")
        check_installed(name, str(target))
    storage = OmegaConf.select(config, "hydra.sweeper.storage", throw_on_resolution_failure=False)
    if isinstance(storage, str):
        check_storage(storage)
    many = config.hydra.mode is not None and config.hydra.mode.name == "MULTIRUN"
    for key in OUTPUTS:
        place = _place(config, key)
        if place is not None and key == OUTPUTS[many]:
            _check_folder(key, place, written=True)
    store = OmegaConf.select(config, "store", throw_on_resolution_failure=False)
    if isinstance(store, str):
        _check_folder("store", store, written=False)


def _place(config: DictConfig, key: str) -> str | None:
    """The path under ``key``; None where only a running job knows it."""
    try:
        value = OmegaConf.select(config, key)
    except InterpolationToMissingValueError:
        return None
    except (OmegaConfBaseException, RecursionError) as error:
        raise Refusal(f"{key} refers to what is not there: {one_line(error)}") from error
    check_value(Place, value, key)
    return str(value)


def _check_folder(key: str, place: str, written: bool) -> None:
    """Refuse a place below a file, or one that cannot be ``written``."""
    if any(words in place for words in OF_A_JOB):
        return
    try:
        path = (Path(place) if written else Path(place).expanduser()).absolute()  # hydra knows no ~
        nearest = next(each for each in (path, *path.parents) if os.path.lexists(each))
        is_folder = nearest.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise Refusal(f"{key}={place} cannot be a folder: {one_line(error)}") from error
    if not is_folder:
        raise Refusal(f"{key}={place} is no folder: {nearest} is something else")
    if written and not os.access(nearest, os.W_OK | os.X_OK):
        raise Refusal(f"{key}={place} cannot be written: {nearest} does not let you, give another folder")
