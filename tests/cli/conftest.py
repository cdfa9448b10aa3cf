"""The command line in this process: the real thing, without the seconds that a new one takes to import."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

TINY = (
    "logger=none",
    "granularity=block",
    "data.train_size=64",
    "data.test_size=64",
    "evaluation.seeds=2",
    "evaluation.samples=8",
    "evaluation.seen=4",
    "evaluation.steps=2",
    "evaluation.batch_size=6",  # three batches, of which the last is smaller
    "evaluation.real=64",
    "evaluation.held_out=32",
    "evaluation.timing.batches=[1,2]",
    "evaluation.timing.warmup=1",
    "evaluation.timing.repeats=2",
)
TRAINED = (
    "recovery.examples=64",
    "recovery.schedule.steps=6",
    "recovery.schedule.batch_size=4",
    "recovery.schedule.checkpoint_every=4",
    "recovery.schedule.warmup=0",
    "recovery.schedule.ema=0.5",
)

STARTS = ("prunelab run: ", "prunelab plan: ", "prunelab pretrain: ", "prunelab report: ")


@dataclass
class Ended:
    """How a command line ended: exit code, lines on either stream, and the stages it computed, in order.

    announced: the line that says what starts, which stands before all others on standard error. asked: the
    address of every artifact that was computed or read, with its stage and the version of that.
    """

    code: int = 0
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    computed: list[str] = field(default_factory=list)
    announced: str = ""
    asked: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The folder that was written."""
        assert self.code == 0, self.err
        return Path(self.out[-1])

    @property
    def refusals(self) -> list[str]:
        """The lines on standard error that say what was wrong."""
        return [line for line in self.err if line.startswith("prunelab: ")]

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of report.json by state, without what says when and how they were made."""
        rows = json.loads((self.folder / "report.json").read_text())["rows"]
        return {row["state"]: {key: row[key] for key in row if key != "provenance"} for row in rows}

    def numbers(self) -> dict[str, dict[str, Any]]:
        """The rows without what a clock measured."""
        rows = self.rows()
        for row in rows.values():
            row["cost"] = {name: row["cost"][name] for name in row["cost"] if "latency" not in name}
        return rows


@contextlib.contextmanager
def counted(ended: Ended) -> Iterator[None]:
    """Inside the context it is noted which stages are computed, not read from the store, and each address."""
    from prunelab.stages.bench import Bench

    original, asked = Bench._compute, Bench.artifact

    def compute(bench: Bench, stage: str, *rest: Any) -> None:
        ended.computed.append(stage)
        original(bench, stage, *rest)

    def artifact(bench: Bench, stage: str, name: str, version: int, *rest: Any) -> Any:
        found = asked(bench, stage, name, version, *rest)
        ended.asked.append((stage, version, found.address))
        return found

    with mock.patch.object(Bench, "_compute", compute), mock.patch.object(Bench, "artifact", artifact):
        yield


def prunelab(*words: str, store: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run ``prunelab WORDS`` beside ``store``."""
    from prunelab.cli import main

    ended, out, err = Ended(), io.StringIO(), io.StringIO()
    store.parent.mkdir(parents=True, exist_ok=True)
    around = (
        counted(ended),
        mock.patch.object(sys, "argv", ["prunelab", *words]),
        mock.patch("prunelab.core.stopping.end_within"),  # it would end the tests' process, too
        mock.patch.dict(os.environ, {"PRUNELAB_STORE": str(store), **(environment or {})}),
        contextlib.chdir(store.parent),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    )
    with contextlib.ExitStack() as stack:
        for context in around:
            stack.enter_context(context)
        with pytest.raises(SystemExit) as stop:
            main()
    ended.code = stop.value.code
    ended.out, ended.err = out.getvalue().splitlines(), err.getvalue().splitlines()
    if ended.err and ended.err[0].startswith(STARTS):
        ended.announced = ended.err.pop(0)
    return ended


@pytest.fixture(scope="session")
def command() -> Callable[..., Ended]:
    """``command(*words, store=FOLDER)`` runs a command line in this process."""
    return prunelab


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Settings of a run of seconds without recovery."""
    return (*TINY, "recovery=none")


@pytest.fixture(scope="session")
def tiny_trained() -> tuple[str, ...]:
    """Settings of a run of seconds with six steps of recovery."""
    return (*TINY, *TRAINED, "scorer=magnitude", "budget.of=parameters")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds what ``first`` computed, and more as tests go on."""
    return tmp_path_factory.mktemp("first") / "store"


@pytest.fixture(scope="session")
def first(tiny_trained: tuple[str, ...], store: Path) -> Ended:
    """A run with ``tiny_trained`` that started from nothing, logged."""
    return prunelab(*logged(tiny_trained), store=store)


@pytest.fixture(scope="session")
def second(tiny_trained: tuple[str, ...], store: Path, first: Ended) -> Ended:
    """The same again, when everything is stored."""
    return prunelab(*logged(tiny_trained), store=store)


def logged(words: tuple[str, ...]) -> tuple[str, ...]:
    """The same settings with W&B as the logger."""
    return (*(word for word in words if word != "logger=none"), "logger=wandb")
