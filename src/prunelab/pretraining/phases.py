"""What a recipe of an embedded model is, and what recipes have in common."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from prunelab.core.draws import generator
from prunelab.core.settings import deciding
from prunelab.data.made import Made
from prunelab.engine.optimise import Objective
from prunelab.pretraining.naming import Naming
from prunelab.schedules.schedule import Schedule

T = TypeVar("T")
Log = Callable[[Mapping[str, float], int], None]


@dataclass(frozen=True)
class Phase:
    """One training, or none, and what it leaves.

    name: of the folder that holds the result. prepare: builds what will be trained (None: nothing is), given
    the folder of the phases before. save: writes the trained objective into an empty folder.
    """

    name: str
    schedule: Schedule | None
    prepare: Callable[[Path], Objective | None]
    save: Callable[[Any, Path, Path], None]


class Recipe(Protocol):
    """All that decides how a model comes out."""

    def phases(self) -> Sequence[Phase]:
        """The trainings in order; each may read what those before it saved."""

    @property
    def fingerprint(self) -> str:
        """A hash of every setting that changes a result."""


def what_counts(value: Any) -> Any:
    """What of a field counts: a schedule without what only says how it runs, a data set's fingerprint."""
    if isinstance(value, Schedule):
        return deciding(value)
    return value.fingerprint


def hashed(fields: Mapping[str, Any]) -> str:
    """A hash of the fields of a recipe, of each ``what_counts``."""
    content = json.dumps(fields, default=what_counts, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def seeded(seed: int, part: str, build: Callable[[], T]) -> T:
    """What ``build`` makes with initial weights that depend on the seed and the part's name alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, 0, f"initial {part}").initial_seed())
        return build()


def images_of(data: Made) -> Tensor:
    """All images, uint8 (n, channels, height, width); the data set hands out wider integers."""
    return torch.from_numpy(data[:]["image"]).to(torch.uint8)


def save_judge(objective: Naming, finished: Path, folder: Path) -> None:
    """The judge alone."""
    judge: Any = objective.trained
    judge.save(folder)


def rewrite(path: Path, changes: Mapping[str, Any]) -> None:
    """Change keys of a json file; None removes a key."""
    content = json.loads(path.read_text()) | changes
    kept = {key: value for key, value in content.items() if value is not None or key not in changes}
    path.write_text(json.dumps(kept, indent=2) + "\n")
