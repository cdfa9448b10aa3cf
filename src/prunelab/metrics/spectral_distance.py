"""How far the spectrum of a sound is from that of the dense model's sound from the same seed."""

from typing import ClassVar

import torch
from torch import Tensor

from prunelab.core.estimates import Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Counts, Positive, Text, settings
from prunelab.core.waveforms import FULL_SCALE
from prunelab.metrics.intervals import bootstrap

SOUNDS = 64  # compared at once, which bounds the memory


@settings
class SpectralDistance:
    """Multi-resolution spectral distance, Yamamoto et al. (2020), arXiv 1910.11480; lower is closer.

    At every size of window: spectral convergence (the Frobenius norm of the difference of magnitudes over
    that of the dense sound's) plus the mean absolute difference of their natural logarithms; the mean over
    sizes.
    windows: of Hann, in samples, a quarter apart. floor: magnitudes below this share of a full-scale sine's
    count as it (0.001 is -60 dB), where the paper has no need of one: these sounds end in silence.
    """

    name: Text = "spectral_distance"
    windows: Counts = (256, 512, 1024)
    floor: Positive = 1e-3

    quantity: ClassVar[Quantity] = Quantity(
        "Spectral distance", "lower", "of magnitudes at several resolutions to the dense model's sounds"
    )

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over sounds; 0 for the dense model itself."""
        assert generated.media.shape == reference.dense.media.shape, "sounds of the same draws are compared"
        ours, dense = (m.flatten(0, 2).split(SOUNDS) for m in (generated.media, reference.dense.media))
        distances = [self._distances(*pair) for pair in zip(ours, dense, strict=True)]
        return bootstrap(torch.cat(distances), reference.prompts)

    def _distances(self, ours: Tensor, dense: Tensor) -> Tensor:
        """Of int16 sounds (n, samples) each, shape (n,)."""
        return torch.stack([self._at(window, ours, dense) for window in self.windows]).mean(dim=0)

    def _at(self, window: int, ours: Tensor, dense: Tensor) -> Tensor:
        """The distances at one size of window, shape (n,)."""
        heard, wanted = self._magnitudes(window, ours), self._magnitudes(window, dense)
        convergence = (heard - wanted).norm(dim=(1, 2)) / wanted.norm(dim=(1, 2))
        return convergence + (heard.log() - wanted.log()).abs().mean(dim=(1, 2))

    def _magnitudes(self, window: int, sounds: Tensor) -> Tensor:
        """Shape (n, frequencies, frames), in float64; a full-scale sine has 1."""
        hann = torch.hann_window(window, dtype=torch.float64)
        signal = sounds.cpu().double() / FULL_SCALE
        spectrum = torch.stft(signal, window, window // 4, window=hann, return_complex=True).abs()
        return (spectrum / (hann.sum() / 2)).clamp(min=self.floor)
