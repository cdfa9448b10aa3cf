"""The modified discrete cosine transform: waveforms as pictures, and exactly back.

Princen and Bradley, "Analysis/synthesis filter bank design based on time domain aliasing cancellation" (IEEE
Transactions on Acoustics, Speech, and Signal Processing, 1986), with a sine window. The frames' transform is
orthonormal, so it keeps the energy and its transpose inverts it; nothing has to be guessed, as a phase has to
be where magnitudes alone are kept.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from prunelab.core.errors import Refusal
from prunelab.core.settings import NonNegativeCount
from prunelab.core.waveforms import scaled


def mdct(waveforms: Tensor, bins: int) -> Tensor:
    """Waveforms (batch, samples) to coefficients (batch, bins, frames), frames = samples / bins + 1.

    The number of samples must be a multiple of ``bins``, which is also the hop.
    """
    assert waveforms.shape[-1] % bins == 0, "whole hops are transformed"
    frames = F.pad(waveforms, (bins, bins)).unfold(-1, 2 * bins, bins)
    with torch.autocast(waveforms.device.type, enabled=False):  # half precision would not be exact
        return (frames.float() @ _basis(bins, waveforms.device)).transpose(1, 2)


def inverse_mdct(coefficients: Tensor) -> Tensor:
    """Coefficients (batch, bins, frames) to waveforms (batch, (frames - 1) * bins)."""
    bins = coefficients.shape[1]
    with torch.autocast(coefficients.device.type, enabled=False):
        halves = coefficients.float().transpose(1, 2) @ _basis(bins, coefficients.device).T
    first, second = halves[..., :bins], halves[..., bins:]
    return (first[:, 1:] + second[:, :-1]).flatten(1)


def as_pictures(waveforms: Tensor, bins: int, channels: int) -> Tensor:
    """Waveforms (batch, 1, samples) to pictures (batch, channels, bins / channels, frames).

    Coefficients are drawn as ``sign(x) sqrt|x|``, so that quiet ones count, and neighbouring bins share a
    pixel.
    """
    coefficients = mdct(waveforms[:, 0], bins)
    compressed = coefficients.sign() * coefficients.abs().sqrt()
    return compressed.unflatten(1, (bins // channels, channels)).transpose(1, 2)


def as_waveforms(pictures: Tensor) -> Tensor:
    """The inverse of ``as_pictures``; differentiable."""
    compressed = pictures.transpose(1, 2).flatten(1, 2)
    return inverse_mdct(compressed * compressed.abs())[:, None]


@lru_cache(maxsize=4)
def _basis(bins: int, device: torch.device) -> Tensor:
    """The windowed cosines, float32 (2 bins, bins); computed in double precision."""
    time = torch.arange(2 * bins, dtype=torch.float64) + 0.5
    frequency = torch.arange(bins, dtype=torch.float64) + 0.5
    window = torch.sin(math.pi / (2 * bins) * time)
    cosines = torch.cos(math.pi / bins * (time[:, None] + bins / 2) * frequency)
    return ((2 / bins) ** 0.5 * window[:, None] * cosines).float().to(device)


class Mdct:
    """Mono sounds (batch, 1, samples) at ``rate`` Hz, as pictures of their transform."""

    makes = "sounds"

    def __init__(self, rate: NonNegativeCount = 0) -> None:
        if rate < 1:
            raise Refusal("sounds need a rate: write rate=SAMPLES PER SECOND in the model's yaml")
        self.rate = rate

    def to_pictures(self, media: Tensor, shape: tuple[int, ...]) -> Tensor:
        """int16 sounds to pictures (batch, channels, height, frames); samples = bins * (frames - 1)."""
        channels, height, frames = shape
        length = channels * height * (frames - 1)
        if media.shape[-1] != length:
            raise Refusal(
                f"the model takes sounds of {length} samples, not {media.shape[-1]}: see data.samples"
            )
        return as_pictures(scaled(media), channels * height, channels)

    def from_pictures(self, pictures: Tensor) -> Tensor:
        """Pictures to float32 sounds (batch, 1, samples) in [-1, 1]."""
        return as_waveforms(pictures).clamp(-1, 1)
