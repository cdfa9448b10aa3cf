"""All that the report of a command follows from, known without importing what would compute it.

More than what enters addresses, as nothing is opened here to see what counts: also the words of the command,
which rows quote, the text of the package, and whatever is installed. What cannot be seen from here, such as
what code of one's own does, has no key: such a command is always run.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from prunelab.cli import provenance
from prunelab.cli.leaving import command
from prunelab.cli.standing import PLACES
from prunelab.core import processes
from prunelab.core.contents import files, sha256
from prunelab.core.errors import Refusal
from prunelab.core.own_folders import PACKAGE, conf_folder
from prunelab.core.processor import processor

OURS = ("prunelab.", "pathlib.Path", "hydra.utils.get_object")  # whose code is seen from here
# Trackers whose only run of a job of which all is stored is its summary.
TRACKERS = ("prunelab.tracking.silent.SilentTracker", "prunelab.tracking.wandb.WandbTracker")
# What says how torch and Python work; where the store lies is no such thing.
VARIABLES = (
    *("OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "ATEN_", "ONEDNN_", "DNNL_", "TORCH_"),
    *("PYTHON", "LD_"),
)


def key(config: DictConfig) -> str | None:
    """A hash of everything that decides what a command leaves, as it is at this moment.

    None where the command is to be run in any case: what decides it is not seen from here (code of one's
    own, what lies on a server, a GPU), or the run is of several processes or a scheduler's job, or is logged
    otherwise than by its summary.
    """
    values: Any = OmegaConf.to_container(config, resolve=True)
    if not _is_plain(values) or not _alone():
        return None
    if any(not target.startswith(OURS) for target in _targets(values)):
        return None
    try:
        looks = _looks(values)
    except (Refusal, OSError, ValueError, RuntimeError):  # who reads it says why it cannot be read
        return None
    if looks is None:
        return None
    settings = HydraConfig.get()
    given = {
        "values": {**values, "logger": None},
        "choices": dict(settings.runtime.choices),
        "words": [command(), *provenance.words(config.job, settings.overrides)],
        "looks": looks,
        "code": _code(),
        "machine": _machine(),
    }
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def _is_plain(values: Mapping[str, Any]) -> bool:
    """Whether it is a run on the CPU that leaves a report."""
    how = (values["job"], values["until"], values["verbose"], values["devices"])
    on_cpu = values["trainer"]["accelerator"] == "cpu"
    return how == ("run", None, False, 1) and on_cpu and values["logger"]["_target_"] in TRACKERS


def _alone() -> bool:
    """Whether one process does the whole command, for no scheduler: a report names whose job it is of."""
    if processes.launched() or processes.grouped() or processes.scheduled():
        return False
    return HydraConfig.get().mode != RunMode.MULTIRUN


def _targets(node: Any) -> Iterator[str]:
    """Whatever a configuration makes objects from, and what it asks for by name."""
    for value in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _targets(value)
    if isinstance(node, Mapping) and "_target_" in node:
        yield str(node["_target_"])
        if str(node["_target_"]).startswith("hydra."):
            yield str(node.get("path"))


def _looks(values: Mapping[str, Any]) -> list[Any] | None:
    """The state of every file and folder that a text among the values may name; None where one is away."""
    read = {name: value for name, value in values.items() if name not in ("store", "logger", "cluster")}
    found = []
    for name, text in sorted(pair for pair in {*_texts(read)} if pair[1]):
        place = Path(text).expanduser()
        if place.exists():
            found.append([str(place.absolute()), [_state(file) for file in files(place)]])
        elif (name in PLACES and not text.startswith(OURS)) or os.sep in text:
            return None
    return found


def _texts(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of plain containers with the key that it stands under."""
    if isinstance(node, str):
        yield name, node
    elif isinstance(node, Mapping):
        for inner, value in node.items():
            yield from _texts(value, name if inner == "_args_" else str(inner))
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, name)


def _state(file: Path) -> list[str | int]:
    """The last number is the one that no program can set back."""
    status = file.stat()
    return [str(file), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _code() -> list[Any]:
    """The text of the package, its weights and configurations, and whatever is installed."""
    ours = [file for place in (PACKAGE, conf_folder()) for file in files(place) if file.suffix != ".pyc"]
    folders = [Path(place) for place in sys.path if Path(place).is_dir()]
    theirs = [each for folder in folders for each in folder.iterdir() if each.suffix == ".dist-info"]
    installed = [[each.name, each.stat().st_mtime_ns] for each in sorted(theirs)]
    return [[[str(file), sha256(file)] for file in ours], installed, provenance.commit(), sys.version]


def _machine() -> list[Any]:
    """What a report calls its hardware, as far as torch follows it on the CPU."""
    told = {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}
    cores = [os.cpu_count(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None]
    return [processor(), cores, platform.system(), platform.release(), platform.node(), told]
