"""What recipes have in common that train a judge of their own data first, and perhaps an autoencoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from prunelab.core.settings import Seed
from prunelab.data.made import Made
from prunelab.judges.classifier import Judge
from prunelab.pretraining.autoencoder import Reconstruction, encode
from prunelab.pretraining.naming import Naming
from prunelab.pretraining.phases import hashed, images_of, seeded
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

    version: part of the fingerprint, raised when the same settings give other weights. judges, lessons: the
    class of the judge, and how it learns.
    """

    version: ClassVar[int]
    judges: ClassVar[type[Judge]] = Judge
    lessons: ClassVar[type[Naming]] = Naming

    seed: Seed
    data: LabelledData
    labels: Sequence[str]
    judge: Mapping[str, Any]
    judge_schedule: Schedule

    @property
    def fingerprint(self) -> str:
        """A hash of every field and of the data's content."""
        return hashed({"version": self.version, **vars(self)})

    def _naming(self, finished: Path) -> Naming:
        data = self.data.train()
        names = {label: data.features[label].names for label in self.labels}
        judge = seeded(self.seed, "judge", lambda: self.judges(names, **self.judge))
        numbers = {label: torch.from_numpy(data[:][label]) for label in self.labels}
        return self.lessons(judge, self._media(), numbers, self.seed)

    def _media(self) -> Tensor:
        """All media as the judge takes them."""
        return images_of(self.data.train())

    def _pictures(self) -> Tensor:
        """The training data as the autoencoder, or the denoiser of pixels, takes them."""
        return self._media()

    def _latents(self, finished: Path) -> Tensor:
        """Scaled latents of the training data, float32."""
        autoencoder = AutoencoderKL.from_pretrained(finished / "autoencoder")
        scale: float = autoencoder.config.scaling_factor
        return encode(autoencoder, self._pictures()) * scale

    def _save_autoencoder(self, objective: Reconstruction, finished: Path, folder: Path) -> None:
        """With the scale that gives the latents of the training data unit variance."""
        autoencoder: Any = objective.trained
        latents = encode(autoencoder, objective.images)
        autoencoder.register_to_config(scaling_factor=round(1 / latents.std().item(), 6))
        autoencoder.save_pretrained(folder)
