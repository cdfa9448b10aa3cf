"""The words of a command line: the job, Hydra's options and the overrides."""

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

from prunelab.core.errors import Refusal

JOBS = ("run", "plan", "pretrain", "report", "sbatch", "chain")
SEARCH_PATH = "hydra.searchpath"


@dataclass(frozen=True)
class Arguments:
    """A command line taken apart.

    options: Hydra's own, such as ``-m``. overrides: ``key=value``, a ``--config-dir`` among them as the
    search path that it is. many: whether it is a sweep.
    """

    job: str
    options: list[str]
    overrides: list[Override]
    many: bool

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
    """The parts of a command line, options and overrides in any order; refuses what is no part of one."""
    folder, words = _config_folder(words)
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    known = parser.parse_intermixed_args(list(words))
    rest = list(known.overrides)
    job = rest.pop(0) if rest and "=" not in rest[0] and not rest[0].startswith("~") else "run"
    if job not in JOBS:
        raise Refusal(f"unknown job {job!r}: {nearest(job, JOBS)}")
    options = [word for word in words if word not in known.overrides]
    overrides = _searching(folder, parse_overrides(rest)) if folder else parse_overrides(rest)
    return Arguments(job, options, overrides, known.multirun or "hydra.mode=MULTIRUN" in rest)


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


def _config_folder(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The folder of ``--config-dir FOLDER``, and the other words."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.error = _refuse  # type: ignore[method-assign]
    parser.add_argument("--config-dir", "-cd", type=Path)
    known, rest = parser.parse_known_args(list(words))
    return known.config_dir, rest


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
