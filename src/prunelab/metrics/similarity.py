"""How like the dense model's images are the images from the same prompts and seeds."""

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Text, settings
from prunelab.metrics.intervals import bootstrap

IMAGES = 64  # compared at once, which bounds the memory


@settings
class StructuralSimilarity:
    """SSIM to the dense model's image, Wang et al. (2004), Gaussian window of 11; higher, at most 1."""

    name: Text = "ssim"

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over images; exactly 1 where the images are the same."""
        pairs = zip(*_unit_images(generated, reference), strict=True)
        return bootstrap(torch.cat([_ssim(ours, dense) for ours, dense in pairs]))


@settings
class PeakSignalToNoise:
    """PSNR in dB to the dense model's image; higher is closer."""

    name: Text = "psnr"

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over images; undefined as soon as one pair is equal, for its PSNR is infinite."""
        pairs = zip(*_unit_images(generated, reference), strict=True)
        values = torch.cat([_psnr(ours, dense) for ours, dense in pairs])
        return bootstrap(values) if torch.isfinite(values).all() else UNDEFINED


def _unit_images(generated: Samples, reference: Reference) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Both models' media as float64 in [0, 1], shape (<= IMAGES, channels, height, width) each."""
    assert generated.media.shape == reference.dense.media.shape, "images of the same draws are compared"
    ours, dense = (
        media.flatten(0, 1).cpu().double() / 255 for media in (generated.media, reference.dense.media)
    )
    return ours.split(IMAGES), dense.split(IMAGES)


def _ssim(ours: Tensor, dense: Tensor) -> Tensor:
    """Shape (n,). Equal images are set to 1, which the formula misses by rounding in flat areas."""
    values = structural_similarity_index_measure(ours, dense, data_range=1.0, reduction="none")
    assert isinstance(values, Tensor)
    equal = (ours == dense).flatten(1).all(dim=1)
    return torch.where(equal, torch.ones_like(values), values)


def _psnr(ours: Tensor, dense: Tensor) -> Tensor:
    """Shape (n,)."""
    return peak_signal_noise_ratio(ours, dense, data_range=1.0, reduction="none", dim=(1, 2, 3))
