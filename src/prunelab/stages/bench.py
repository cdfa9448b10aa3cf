"""The bench: what every stage works with, and how a stage's result becomes an artifact."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from safetensors.torch import load_file, save_file
from torch import Tensor

from prunelab.artifacts import Store, address
from prunelab.core.protocols import Model
from prunelab.core.screen import SCREEN
from prunelab.core.tasks import Task
from prunelab.costs.counts import Counts
from prunelab.engine import ranks
from prunelab.stages import took
from prunelab.tracking.protocol import Run, Tracker
from prunelab.trainers.hardware import Hardware

T = TypeVar("T")
Write = Callable[[Path], None]


@dataclass(frozen=True)
class Part(Generic[T]):
    """A chosen part with its resolved settings, which say in an address what the part is."""

    name: str
    value: T
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Artifact:
    """A stage's result: its address and the folder it lies in."""

    address: str
    path: Path

    @property
    def hours(self) -> float | None:
        """Hours of all processes together that it took; None where that was not kept."""
        return took.hours(self.path)

    def json(self, name: str) -> Any:
        """The content of one of its JSON files."""
        return json.loads((self.path / name).read_text("utf-8"))

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The content of one of its safetensors files."""
        return load_file(self.path / name)


@dataclass(frozen=True)
class Bench:
    """Store, tracker and hardware (how things run), model and task (what they run on)."""

    store: Store
    tracker: Tracker
    hardware: Hardware
    model: Model
    task: Task

    @cached_property
    def counts(self) -> Counts:
        """MACs of the model's components, counted once in a job."""
        return Counts(self.model)

    def artifact(
        self,
        stage: str,
        name: str,
        version: int,
        inputs: Mapping[str, Any],
        make: Callable[[Path, Run], Write],
        parents: Mapping[str, str] | None = None,
    ) -> Artifact:
        """The stored result of ``inputs``, computed only if the store has no valid one.

        Every rank calls ``make(partial, run)``; it computes (its scratch folder ``partial`` survives
        kills) and returns a function that writes the result, which rank 0 alone calls. Rank 0 decides
        whether the artifact exists and tells the others; all of them read it back. What exists is read
        without a lock, so a store may be read-only.
        """
        parents = dict(parents or {})
        where = address(stage, name, version, **inputs, **parents)
        SCREEN.begin(stage, where)
        if not self._stored(stage, where):
            with self._held(where):
                if not self._stored(stage, where):  # nor has another job computed it meanwhile
                    self._compute(stage, where, {**inputs, "version": version}, parents, make)
                ranks.barrier()
        return Artifact(where, self.store.path(where))

    def _stored(self, stage: str, where: str) -> bool:
        """Whether the artifact exists, as rank 0 sees it."""
        found: bool = ranks.broadcast(ranks.rank() == 0 and self.store.valid(where))
        if found and ranks.rank() == 0:
            SCREEN.stored(stage, where)
        return found

    @contextmanager
    def _held(self, where: str) -> Iterator[None]:
        """Rank 0 holds the address for all ranks of the job."""
        if ranks.rank():
            yield
        else:
            with self.store.hold(where):
                yield

    def _compute(
        self,
        stage: str,
        where: str,
        inputs: Mapping[str, Any],
        parents: Mapping[str, str],
        make: Callable[[Path, Run], Write],
    ) -> None:
        since = time.monotonic()
        if ranks.rank() == 0:
            self.store.make_way(where)
        partial = self.store.partial(where)
        with SCREEN.computing(), self.tracker.stage(stage, inputs, parents, where) as run:
            with took.clocked(partial):
                write = make(partial, run)
            if ranks.rank() == 0:
                folder = partial / "result"
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                write(folder)
                took.leave(partial, folder)
                self.store.commit(where, folder, {"stage": stage, **inputs, **parents})
                run.keep(self.store.path(where))
            if SCREEN.verbose:
                tell(f"{stage}: {where} took {time.monotonic() - since:.1f} s")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def write_json(path: Path, content: object) -> None:
    """Write JSON that people can read."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def tell(line: str) -> None:
    """A line for who watches, once for all ranks."""
    if ranks.rank() == 0:
        SCREEN.tell(line)


def say(line: str) -> None:
    """A warning, once for all ranks, however quiet the screen is."""
    if ranks.rank() == 0:
        SCREEN.warn(line)
