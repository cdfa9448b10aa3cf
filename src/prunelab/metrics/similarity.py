"""How like the dense model's images are the images from the same prompts and seeds."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Text, settings
from prunelab.metrics.intervals import bootstrap

IMAGES = 64  # compared at once, which bounds the memory
WINDOW, SIGMA = 11, 1.5  # of Wang et al. (2004), as the constants below
C1, C2 = 0.01**2, 0.03**2


@settings
class StructuralSimilarity:
    """SSIM to the dense model's image, Wang et al. (2004), Gaussian window of 11; higher, at most 1.

    The mean over the windows that lie within the image, as in the authors' program. torchmetrics 1.9 reflects
    the borders into windows that overlap them and counts these too, and its window is no product of
    two lines, which takes some thirty times as long.
    """

    name: Text = "ssim"

    quantity: ClassVar[Quantity] = Quantity(
        "SSIM to dense", "higher", "structural similarity to the dense model's images, same seeds"
    )

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over images; exactly 1 where they are the same, undefined where no window fits."""
        if min(generated.media.shape[-2:]) < WINDOW:
            return UNDEFINED
        pairs = zip(*_unit_images(generated, reference), strict=True)
        return bootstrap(torch.cat([_ssim(ours, dense) for ours, dense in pairs]), reference.prompts)


@settings
class PeakSignalToNoise:
    """PSNR in dB to the dense model's image; higher is closer."""

    name: Text = "psnr"

    quantity: ClassVar[Quantity] = Quantity(
        "PSNR to dense",
        "higher",
        "peak signal to noise against the dense model's images",
        unit="dB",
        aside=True,
    )

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over images; undefined as soon as one pair is equal, for its PSNR is infinite."""
        pairs = zip(*_unit_images(generated, reference), strict=True)
        values = torch.cat([_psnr(ours, dense) for ours, dense in pairs])
        return bootstrap(values, reference.prompts) if torch.isfinite(values).all() else UNDEFINED


def _unit_images(generated: Samples, reference: Reference) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Both models' media as float64 in [0, 1], shape (<= IMAGES, channels, height, width) each."""
    assert generated.media.shape == reference.dense.media.shape, "images of the same draws are compared"
    ours, dense = (
        media.flatten(0, 1).cpu().double() / 255 for media in (generated.media, reference.dense.media)
    )
    return ours.split(IMAGES), dense.split(IMAGES)


def _ssim(ours: Tensor, dense: Tensor) -> Tensor:
    """Shape (n,). Equal images are 1 without being compared: the formula misses it by rounding."""
    values = torch.ones(len(ours), dtype=torch.float64)
    differ = (ours != dense).flatten(1).any(dim=1)
    if differ.any():
        values[differ] = _structure(ours[differ], dense[differ])
    return values


def _structure(x: Tensor, y: Tensor) -> Tensor:
    """The formula, of (n, channels, height, width) each: the mean over channels and windows, (n,)."""
    mean_x, mean_y, xx, yy, xy = _windowed(torch.stack([x, y, x * x, y * y, x * y]))
    squares, product = mean_x**2 + mean_y**2, mean_x * mean_y
    likeness = (2 * product + C1) * (2 * (xy - product) + C2)
    return (likeness / ((squares + C1) * (xx + yy - squares + C2))).flatten(1).mean(dim=1)


def _windowed(images: Tensor) -> Tensor:
    """Gaussian means of (..., height, width) in every window inside: a column's, then a row's."""
    distance = torch.arange(WINDOW, dtype=images.dtype) - WINDOW // 2
    weights = torch.exp(-(distance**2) / (2 * SIGMA**2))
    line = (weights / weights.sum())[None, None]
    flat = images.flatten(0, -3)[:, None]
    means = F.conv2d(F.conv2d(flat, line[..., None]), line[:, :, None])
    return means.reshape(*images.shape[:-2], *means.shape[-2:])


def _psnr(ours: Tensor, dense: Tensor) -> Tensor:
    """Shape (n,)."""
    from torchmetrics.functional.image import peak_signal_noise_ratio  # takes seconds

    return peak_signal_noise_ratio(
        ours, dense, data_range=1.0, reduction="none", dim=tuple(range(1, ours.ndim))
    )
