"""``provenance.json``: what made a folder, so that it can be told from others and made again."""

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.conf import OverridesConf
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import prunelab
from prunelab.cli.arguments import SEARCH_PATH, one_line
from prunelab.core import processes
from prunelab.core.errors import Refusal
from prunelab.core.own_folders import conf_folder

FILE = "provenance.json"
SCHEMA = 1
LIBRARIES = (
    *("torch", "diffusers", "transformers", "accelerate", "lightning", "safetensors", "datasets", "numpy"),
    *("torch-pruning", "peft", "hydra-core"),
)
ENVIRONMENT = "${oc.env:"  # what a configuration reads from the environment may be a key
ELSEWHERE = ("hydra.run.dir=", "hydra.sweep.dir=", "hydra.mode=")  # where, not what


def leave(
    folder: Path,
    job: str,
    overrides: OverridesConf,
    config: DictConfig,
    hardware: Mapping[str, Any] | None = None,
) -> None:
    """Write the provenance of one job into its folder; raises OSError where that cannot be written.

    hardware: what the rows say of it, where that is known: finding it out takes torch.
    """
    given = words(job, overrides)
    _write(folder, {"words": given, **made(given, config, hardware), "config": settings(config)})


def words(job: str, overrides: OverridesConf) -> list[str]:
    """The words that make the job again."""
    searched = [word for word in overrides.hydra if word.startswith(SEARCH_PATH)]
    return [job, *(word for word in overrides.task if not word.startswith("job=")), *searched]


def leave_sweep(folder: Path, words: Sequence[str]) -> None:
    """Write that of a whole sweep, which the same words repeat."""
    kept = [word for word in words if not word.startswith(ELSEWHERE)]
    _write(folder, {"words": kept, **made(kept), "config": None})


def made(
    words: Sequence[str], config: DictConfig | None = None, hardware: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a report's rows say of it: command, version, commit, libraries, hardware, date, scheduler's job.

    config: of the job, where there is one: it says whether a GPU is used. hardware: where it is known.
    """
    return {
        "command": " ".join(["prunelab", *words]),
        "version": prunelab.__version__,
        "commit": commit(),
        "libraries": {"python": platform.python_version(), **_libraries()},
        "hardware": hardware or _hardware(config),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": processes.scheduled(),
    }


def settings(config: DictConfig) -> dict[str, Any]:
    """The configuration with all references resolved, but for what it reads from the environment."""
    try:
        resolved = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise Refusal(f"the configuration does not resolve: {one_line(error)}") from error
    written = OmegaConf.to_container(config, resolve=False)
    secrets = {_at(resolved, path): text for path, text in _texts(written) if ENVIRONMENT in text}
    masked: dict[str, Any] = _masked(resolved, secrets)
    return masked


def read(folder: Path) -> dict[str, Any]:
    """What ``leave`` wrote; Refusal where there is nothing, or something else."""
    path = folder / FILE if folder.is_dir() else folder
    try:
        found = json.loads(path.read_text("utf-8")) if path.is_file() else None
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal(f"{path} cannot be read: {one_line(error)}") from error
    words = found.get("words") if isinstance(found, dict) else None
    if found is None or not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Refusal(f"no {FILE} of a run in {folder}: prunelab rerun FOLDER takes a folder that a run left")
    if found.get("schema") != SCHEMA:
        raise Refusal(f"{path} has another schema than {SCHEMA}: use the prunelab that wrote it")
    return dict(found)


@functools.cache
def commit() -> str | None:
    """The commit of the sources that run, ``+`` behind it where they were changed; None where unknown."""
    sources = conf_folder().parent
    if not (sources / ".git").exists():
        return None
    head, changes = (_git(sources, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain")))
    return f"{head[:12]}{'+' if changes else ''}" if head else None


def _git(folder: Path, *words: str) -> str | None:
    try:
        run = subprocess.run(
            ["git", "-C", str(folder), *words],  # noqa: S607 the user's own git
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # as of one that was put on the path
            continue
    return found


def _hardware(config: DictConfig | None) -> dict[str, Any]:
    """The machine in words; the device only where a job said which, as asking for it takes torch."""
    own: dict[str, Any] = {"cores": os.cpu_count(), "system": f"{platform.system()} {platform.release()}"}
    if config is None:
        return own
    from prunelab.cli import making
    from prunelab.costs.machine import hardware
    from prunelab.engine.placement import device
    from prunelab.trainers.hardware import Hardware

    chosen: Hardware = making.instantiate(config.trainer, devices=config.devices, precision=config.precision)
    found = hardware(device(chosen))
    named = {"device": found.device, "cpu": found.cpu, "threads": found.threads}
    return {**named, "processes": chosen.devices, **own}


def _texts(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every text of plain containers, and where it stands."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, Mapping | list):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _texts(value, (*path, key))


def _at(node: Any, path: Sequence[Any]) -> Any:
    for key in path:
        node = node[key]
    return node


def _masked(node: Any, secrets: Mapping[Any, str]) -> Any:
    """``node`` with every secret replaced by what was written in its place, wherever it is referred to."""
    if isinstance(node, Mapping):
        return {key: _masked(value, secrets) for key, value in node.items()}
    if isinstance(node, list):
        return [_masked(value, secrets) for value in node]
    return secrets.get(node, node) if isinstance(node, str) else node


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA, **content}, indent=1, ensure_ascii=False)
    aside = folder / f".{FILE}.partial"
    aside.write_text(text + "\n", encoding="utf-8")
    aside.replace(folder / FILE)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings that are not what they were, as ``key: before, now``."""
    known, found = (dict(_leaves(each)) for each in (before, now))
    keys = [key for key in {**known, **found} if key != "logger.folder"]
    return [
        f"{key}: {known.get(key, 'absent')!r}, now {found.get(key, 'absent')!r}"
        for key in keys
        if known.get(key) != found.get(key)
    ]


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def say(line: str) -> None:
    """A line on the screen."""
    print(line, file=sys.stderr)
