"""Check a command line before anything is imported or started, and say what would have worked."""

import difflib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prunelab.core.errors import Refusal

MOST_COMBINATIONS = 64  # of a sweep that are composed beforehand


def conf_folder() -> Path:
    """Where the configuration lies: inside the installed package, else at the top of the checkout."""
    here = Path(__file__).resolve().parent.parent
    installed = here / "conf"
    return installed if installed.is_dir() else here.parent.parent / "conf"


def choices(group: str) -> list[str]:
    """The names a configuration group offers."""
    return sorted(file.stem for file in (conf_folder() / group).glob("*.yaml"))


def nearest(word: str, known: Sequence[str]) -> str:
    """``did you mean X? Choices: ...``."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Choices: {', '.join(known)}"


def check(words: Sequence[str]) -> None:
    """Refuse an unknown choice, an unknown key or an impossible sparsity, in one line."""
    words = [word for word in words if not word.startswith("-")]
    try:
        overrides = OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise Refusal(f"cannot read the command line: {' '.join(str(error).split())}") from error
    for override in overrides:
        _check_choice(override)
    with initialize_config_dir(str(conf_folder()), version_base=None):
        for combination in itertools.islice(_combinations(overrides), MOST_COMBINATIONS):
            _check_values(_composed(combination))


def _check_choice(override: Override) -> None:
    group = override.key_or_group
    known = choices(group)
    if not known:
        return
    for value in _values(override):
        if value not in (*known, "null"):
            raise Refusal(f"unknown {group} {value!r}: {nearest(value, known)}")


def _values(override: Override) -> list[str]:
    """Every value the override takes in a sweep, as the command line would say it."""
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    return [override.get_value_string()]


def _combinations(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """The command lines of a sweep's jobs."""
    return (list(combination) for combination in itertools.product(*map(_words, overrides)))


def _words(override: Override) -> list[str]:
    """An override as written, or once per value where it is a sweep's."""
    written = override.input_line or ""
    if not override.is_sweep_override():
        return [written]
    key = written.partition("=")[0]
    return [f"{key}={value}" for value in _values(override)]


def _composed(words: Sequence[str]) -> DictConfig:
    try:
        return compose("config", overrides=list(words), return_hydra_config=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise Refusal(_explained(words, error)) from error


def _explained(words: Sequence[str], error: Exception) -> str:
    """Which key does not exist, and the one that was probably meant."""
    keys = {
        word: word.partition("=")[0]
        for word in words
        if word[0] not in "+~" and not word.startswith("hydra.")
    }
    config = compose("config", overrides=[word for word, key in keys.items() if choices(key)])
    for key in keys.values():
        if choices(key):
            continue
        parent, _, name = key.rpartition(".")
        node: Any = OmegaConf.select(config, parent) if parent else config
        known = (
            [str(each) for each in node] if isinstance(node, DictConfig) else [str(each) for each in config]
        )
        if name not in known or not isinstance(node, DictConfig):
            return f"unknown key {key!r}: {nearest(name, sorted(known))}"
    return f"the configuration does not compose: {' '.join(str(error).split())}"


def _check_values(config: DictConfig) -> None:
    """Refuse values that no model could make sense of."""
    sparsity = config.sparsity
    for value in sparsity.values() if isinstance(sparsity, DictConfig) else [sparsity]:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise Refusal(f"sparsity={value} is outside [0, 1): 0.3 removes 30 %, 0 nothing")
    if not isinstance(config.devices, int) or config.devices < 1:
        raise Refusal(f"devices={config.devices} is not a number of processes: use 1 or more")
