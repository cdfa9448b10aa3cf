"""How a small unconditional model of sounds and the listener to its sounds are made from nothing.

As an image model is: ``judge``, ``autoencoder`` (of pictures of the MDCT), ``denoiser`` and ``pipeline``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunelab.core.settings import NonNegativeCount
from prunelab.core.waveforms import scaled
from prunelab.judges.listener import Listener
from prunelab.models.mdct import as_pictures
from prunelab.pretraining.autoencoder import Reconstruction, encode, standardise
from prunelab.pretraining.hearing import Hearing
from prunelab.pretraining.unconditional_image_recipe import UnconditionalImageRecipe


@dataclass(frozen=True)
class UnconditionalAudioRecipe(UnconditionalImageRecipe):
    """Everything that decides the weights.

    data: its items have audio (int16, 1 x samples) and class numbers. judge: arguments of Listener. bins: of
    the MDCT. The other fields are as of an image model, which must have an autoencoder.
    """

    judges, lessons = Listener, Hearing

    bins: NonNegativeCount = 0

    def _pictures(self) -> Tensor:
        """The sounds as the autoencoder sees them, float32."""
        assert self.autoencoder is not None
        return as_pictures(scaled(self._media()), self.bins, self.autoencoder.settings["in_channels"])

    def _save_autoencoder(self, objective: Reconstruction, finished: Path, folder: Path) -> None:
        """With latents of the training data that have mean 0 and variance 1 in every channel."""
        autoencoder: Any = objective.trained
        standardise(autoencoder, encode(autoencoder, objective.images))
        autoencoder.register_to_config(scaling_factor=1.0)
        autoencoder.save_pretrained(folder)

    def _media(self) -> Tensor:
        """All sounds as int16 (n, 1, samples)."""
        return torch.from_numpy(self.data.train()[:]["audio"]).to(torch.int16)
