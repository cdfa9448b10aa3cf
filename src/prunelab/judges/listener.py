"""The network that listens to short sounds for the metrics: what they are, and features to compare."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from prunelab.core.waveforms import scaled
from prunelab.judges.classifier import Judge, check_counts


class Listener(Judge):
    """A judge of the log-mel spectrograms of waveforms.

    labels, widths, features: as of Judge. rate: samples per second. window, hop: of the Hann windows, in
    samples. bands: of the mel scale, from 0 Hz to half the rate. floor: magnitudes below it all count as it,
    which keeps what nobody hears out of the features; a sine at full scale has window / 4.
    """

    def __init__(
        self,
        labels: Mapping[str, Sequence[str]],
        rate: int,
        window: int = 256,
        hop: int = 128,
        bands: int = 64,
        floor: float = 0.3,
        widths: Sequence[int] = (16, 32, 64),
        features: int = 128,
    ) -> None:
        super().__init__(labels, widths, features, channels=1)
        check_counts(rate=rate, window=window, hop=hop, bands=bands)
        if not 0 < floor < float("inf"):
            raise ValueError(f"floor is {floor!r}, not a positive magnitude")
        self.rate, self.window, self.hop, self.bands, self.floor = rate, window, hop, bands, floor

    def forward(self, waveforms: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features (n, features) and logits (n, classes) per label, of int16 waveforms (n, 1, samples)."""
        features = self.embed(self.trunk(self.spectrograms(waveforms)))
        return features, {label: head(features) for label, head in self.heads.items()}

    def spectrograms(self, waveforms: Tensor) -> Tensor:
        """Natural logarithms of mel magnitudes, float32 (n, 1, bands, frames), low frequencies first."""
        hann = torch.hann_window(self.window, device=waveforms.device)
        spectrum = torch.stft(
            scaled(waveforms[:, 0]), self.window, self.hop, window=hann, return_complex=True
        ).abs()
        bands = mel_filters(self.bands, self.window, self.rate).to(spectrum.device) @ spectrum
        return bands.clamp(min=self.floor).log()[:, None]

    def config(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        own = {name: getattr(self, name) for name in ("rate", "window", "hop", "bands", "floor")}
        return {"labels": self.labels, **own, "widths": self.widths, "features": self.size}


@lru_cache(maxsize=4)
def mel_filters(bands: int, window: int, rate: int) -> Tensor:
    """Triangles of height 1 evenly spaced on the mel scale, float32 (bands, window / 2 + 1).

    The scale is 2595 log10(1 + f / 700) of O'Shaughnessy (1987), the one that HTK uses. Low triangles may
    be narrower than the distance of two frequencies of the transform; each then takes the nearest one.
    """
    top = 2595 * torch.log10(torch.tensor(1 + rate / 2 / 700, dtype=torch.float64))
    edges = 700 * (10 ** (torch.linspace(0, 1, bands + 2, dtype=torch.float64) * top / 2595) - 1)
    frequencies = torch.linspace(0, rate / 2, window // 2 + 1, dtype=torch.float64)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    filters = torch.minimum(rising, falling).clamp(min=0)
    nearest = F.one_hot((frequencies - middle).abs().argmin(dim=1), len(frequencies))
    return torch.where(filters.sum(dim=1, keepdim=True) > 0, filters, nearest.double()).float()
