"""Unconditional latent diffusion of sounds: diffusers' ``LDMPipeline`` over pictures of the MDCT.

What diffusers opens and samples is the picture; the transform of :mod:`prunelab.models.mdct` turns it into
the sound, exactly and without a trained part.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.settings import NonNegativeCount, Place, Text, Weights
from prunelab.core.waveforms import scaled
from prunelab.models.latent_diffusion import LatentDiffusion
from prunelab.models.mdct import as_pictures, as_waveforms


class AudioDiffusion(LatentDiffusion):
    """An unconditional model of mono sounds (batch, 1, samples) at ``rate`` Hz."""

    makes = "sounds"
    rate: int

    @classmethod
    def open(
        cls,
        name: Text,
        path: Place | None = None,
        weights: Weights = "pretrained",
        embedded: Text | None = None,
        rate: NonNegativeCount = 0,
    ) -> Self:
        """As ``open_folder``; ``rate`` is how many samples a second has, which no diffusers folder says."""
        if rate < 1:
            raise Refusal(f"model={name} needs a rate: write rate=SAMPLES PER SECOND under open: in its yaml")
        model = cls.open_folder(name, path, weights, embedded)
        model.rate = rate
        return model

    def reopened(self, folder: Path) -> Self:
        """The model saved in ``folder``, under this one's name and at its rate."""
        return self.open(self.name, str(folder), rate=self.rate)

    def with_components(self, components: Mapping[str, nn.Module]) -> Self:
        """The same model with some components exchanged; the others are shared, not copied."""
        model = super().with_components(components)
        model.rate = self.rate
        return model

    def encode(self, media: Tensor) -> Tensor:
        """int16 sounds (batch, 1, samples) to scaled latents; samples = bins * (frames - 1)."""
        channels, height, frames = self.picture_shape
        length = channels * height * (frames - 1)
        if media.shape[-1] != length:
            raise Refusal(
                f"{self.name} takes sounds of {length} samples, not {media.shape[-1]}: see data.samples"
            )
        return self._to_latents(as_pictures(scaled(media), channels * height, channels))

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents to float32 sounds (batch, 1, samples) in [-1, 1]."""
        return as_waveforms(self._from_latents(latents)).clamp(-1, 1)
