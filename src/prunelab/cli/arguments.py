"""The words of a command line: the job, Hydra's switches and the overrides."""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from prunelab import __version__
from prunelab.core.errors import Refusal

LOOKS = ("status", "collect", "store")  # at what jobs left: they compose no configuration
JOBS = ("run", "plan", "pretrain", "report", "dashboard", "rerun", "sbatch", "chain", *LOOKS)
SEARCH_PATH = "hydra.searchpath"
SIGNS = ("~", "+")
# Hydra's switches by the name that its parser gives them. --config-dir becomes a search path.
FLAGS = ("help", "hydra_help", "resolve", "run", "multirun", "shell_completion")
VALUED = ("cfg", "package", "info", "config_path", "config_name")
ONE_OF = ("run", "multirun", "cfg", "info", "shell_completion")


@dataclass(frozen=True)
class Arguments:
    """A command line taken apart.

    switches: Hydra's own, such as ``--multirun``. overrides: ``key=value``, a ``--config-dir`` among them as
    the search path that it is. many: whether it is a sweep. asks: whether it is a question, such as
    ``--cfg job``, that starts nothing. hydras: whether Hydra alone answers it, with its own help or a shell's
    completion. primary: the configuration that all others are chosen in, and its folder where that is not
    prunelab's. rest: the words of a look, which has none of the others.
    """

    job: str
    switches: list[str]
    overrides: list[Override]
    many: bool
    asks: bool = False
    hydras: bool = False
    primary: tuple[str, Path | None] = ("config", None)
    rest: Sequence[str] = ()

    @property
    def swept(self) -> list[str]:
        """The keys that differ between the jobs of a sweep."""
        return [each.key_or_group for each in self.overrides if each.is_sweep_override()]

    @property
    def searches(self) -> bool:
        """Whether a sweeper of its own thinks the jobs up, as Optuna does, and wants a number of each."""
        chosen = [each.get_value_string() for each in self.overrides if each.key_or_group == "hydra/sweeper"]
        return self.many and bool({*chosen} - {"basic"})

    @property
    def words(self) -> list[str]:
        """The overrides as they are written."""
        return [str(override.input_line) for override in self.overrides]

    def as_run(self, words: Sequence[str]) -> list[str]:
        """What Hydra composes one job from: the overrides, its name, and its mode, which it would find out.

        The jobs of a sweep say the mode first.
        """
        told = any(word.startswith("hydra.mode=") for word in self.words)
        mode = [] if told else [f"hydra.mode={'MULTIRUN' if self.many else 'RUN'}"]
        job = f"job={self.job}"
        return [*mode, *words, job] if self.many else [*words, job, *mode]


def parse(words: Sequence[str]) -> Arguments:
    """The parts of a command line, in any order; refuses what is no part of one."""
    if words and words[0] in LOOKS:  # what stands without a key is the path, or what to do
        return Arguments(words[0], [], [], many=False, rest=words[1:])
    known = _parser().parse_intermixed_args(list(words))
    _check_switches(known)
    job, rest = _job(known.overrides)
    overrides = parse_overrides(rest)
    if known.config_dir is not None:
        overrides = _searching(Path(known.config_dir), overrides)
    folder = Path(known.config_path).absolute() if known.config_path is not None else None
    return Arguments(
        job=job,
        switches=_written(known, folder),
        overrides=overrides,
        many=known.multirun or "hydra.mode=MULTIRUN" in rest,
        asks=any((known.help, known.hydra_help, known.cfg, known.info, known.shell_completion)),
        hydras=known.hydra_help or known.shell_completion,
        primary=(known.config_name or "config", folder),
    )


def _parser() -> argparse.ArgumentParser:
    """Hydra's parser of the command line, which says our version and refuses in one line."""
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    version = next(each for each in parser._actions if "--version" in each.option_strings)
    vars(version)["version"] = f"prunelab {__version__}"
    return parser


def _check_switches(known: argparse.Namespace) -> None:
    """Refuse switches that exclude each other, as Hydra would in a traceback."""
    given = [name for name in ONE_OF if getattr(known, name)]
    if len(given) > 1:
        raise Refusal(f"{_switch(given[0])} and {_switch(given[1])} exclude each other: give one of them")
    if known.resolve and known.cfg is None and not known.help:
        raise Refusal("--resolve goes with --cfg or --help, as in prunelab --cfg job --resolve")
    if known.experimental_rerun is not None:
        raise Refusal(
            "--experimental-rerun would open a pickle, which can run any code: give the command line again"
        )


def _switch(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _written(known: argparse.Namespace, folder: Path | None) -> list[str]:
    """The switches as Hydra reads them, each one word."""
    flags = [_switch(name) for name in FLAGS if getattr(known, name)]
    values = {**vars(known), "config_path": folder}
    return flags + [f"{_switch(name)}={values[name]}" for name in VALUED if values[name] is not None]


def _job(words: Sequence[str]) -> tuple[str, list[str]]:
    """The one word that sets nothing, wherever it stands, and the others."""
    bare = [word for word in words if "=" not in word and not word.startswith(SIGNS)]
    jobs = [word for word in bare if word in JOBS]
    strange = next((word for word in bare if word not in JOBS), None)
    if strange is not None and not jobs:
        raise Refusal(f"unknown job {strange!r}: {nearest(strange, JOBS)}")
    if strange is not None:
        _refuse(f"{strange!r} sets nothing, write {strange}=VALUE; the job is {jobs[0]}")
    if len(jobs) > 1:
        _refuse(f"{jobs[0]} and {jobs[1]} are two jobs, give one of them")
    return (jobs or ["run"])[0], [word for word in words if word not in jobs]


def parse_overrides(words: Sequence[str]) -> list[Override]:
    """``key=value`` words as Hydra reads them."""
    try:
        return list(OverridesParser.create().parse_overrides(list(words)))
    except HydraException as error:
        raise Refusal(f"cannot read the command line: {one_line(error)}") from error


def nearest(word: str, known: Sequence[str]) -> str:
    """``did you mean X? Choices: ...``."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Choices: {', '.join(known)}"


def one_line(error: Exception) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split())


def quoted(text: object) -> str:
    """A value that the override grammar takes as it is, whatever characters it holds."""
    escaped = str(text).replace("'", "\\'")
    return f"'{escaped}'"


def _refuse(message: str) -> NoReturn:
    raise Refusal(f"cannot read the command line: {message} (prunelab --help)")


def _searching(folder: Path, overrides: list[Override]) -> list[Override]:
    """The overrides with ``folder`` added to the folders in which configurations are looked for."""
    if not folder.is_dir():
        raise Refusal(f"--config-dir {folder} is no folder: give one that holds scorer/NAME.yaml or the like")
    places = [f"file://{folder.absolute()}"]
    for override in overrides:
        if override.key_or_group == SEARCH_PATH:
            places += [str(place) for place in override.value()]  # type: ignore[union-attr]
    rest = [override for override in overrides if override.key_or_group != SEARCH_PATH]
    return [*rest, *parse_overrides([f"{SEARCH_PATH}=[{','.join(map(quoted, places))}]"])]
