"""What recipes have in common that train a judge of their own data first, and perhaps an autoencoder."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch

from prunelab.core.settings import Seed
from prunelab.data.made import Made
from prunelab.judges.classifier import Judge
from prunelab.pretraining.autoencoder import Reconstruction, encode
from prunelab.pretraining.naming import Naming
from prunelab.pretraining.phases import images_of, seeded, what_counts
from prunelab.schedules.schedule import Schedule


class LabelledData(Protocol):
    """A data set whose items have a medium, class numbers, and perhaps a caption."""

    def train(self) -> Made:
        """The split to learn from."""

    @property
    def fingerprint(self) -> str:
        """A hash of the content."""


@dataclass(frozen=True)
class JudgedRecipe:
    """``labels``: the columns that the judge learns to name. ``judge``: arguments of Judge.

    version: part of the fingerprint, raised when the same settings give other weights.
    """

    version: ClassVar[int]

    seed: Seed
    data: LabelledData
    labels: Sequence[str]
    judge: Mapping[str, Any]
    judge_schedule: Schedule

    @property
    def fingerprint(self) -> str:
        """A hash of every field and of the data's content."""
        content = json.dumps({"version": self.version, **vars(self)}, default=what_counts, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def _naming(self, finished: Path) -> Naming:
        data = self.data.train()
        names = {label: data.features[label].names for label in self.labels}
        judge = seeded(self.seed, "judge", lambda: Judge(names, **self.judge))
        numbers = {label: torch.from_numpy(data[:][label]) for label in self.labels}
        return Naming(judge, images_of(data), numbers, self.seed)

    def _save_autoencoder(self, objective: Reconstruction, finished: Path, folder: Path) -> None:
        """With the scale that gives the latents of the training data unit variance."""
        autoencoder: Any = objective.trained
        latents = encode(autoencoder, objective.images)
        autoencoder.register_to_config(scaling_factor=round(1 / latents.std().item(), 6))
        autoencoder.save_pretrained(folder)
