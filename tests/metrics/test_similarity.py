"""SSIM and PSNR against their formulas written out with scipy and numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from prunelab.core.estimates import UNDEFINED
from prunelab.core.samples import Reference, Samples
from prunelab.metrics.similarity import PeakSignalToNoise, StructuralSimilarity


def ssim_of(x: np.ndarray, y: np.ndarray) -> float:
    """Of (channels, height, width) in [0, 255]: a Gaussian window of 11 by 11, sigma 1.5."""

    def window(image: np.ndarray) -> np.ndarray:
        return np.stack([gaussian_filter(c, 1.5, radius=5, mode="mirror") for c in image])

    mean_x, mean_y = window(x), window(y)
    var_x, var_y = window(x * x) - mean_x**2, window(y * y) - mean_y**2
    covariance = window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def pairs(pruned: Samples, reference: Reference) -> list[tuple[np.ndarray, np.ndarray]]:
    ours, dense = pruned.media.flatten(0, 1), reference.dense.media.flatten(0, 1)
    return [(a.double().numpy(), b.double().numpy()) for a, b in zip(ours, dense, strict=True)]


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_its_formula(pruned: Samples, reference: Reference, channels: int) -> None:
    """At 16 by 16 pixels, hardly more than the window."""
    pruned = replace(pruned, media=pruned.media[:, :, :channels])
    reference = replace(
        reference, dense=replace(reference.dense, media=reference.dense.media[:, :, :channels])
    )
    expected = np.mean([ssim_of(a, b) for a, b in pairs(pruned, reference)])
    estimate = StructuralSimilarity()(pruned, reference)
    assert 0.5 < expected < 0.999
    assert estimate.value == pytest.approx(expected, abs=1e-6)
    assert estimate.n == 80


def test_psnr_is_its_formula(pruned: Samples, reference: Reference) -> None:
    expected = np.mean([10 * np.log10(255**2 / np.mean((a - b) ** 2)) for a, b in pairs(pruned, reference)])
    estimate = PeakSignalToNoise()(pruned, reference)
    assert estimate.value == pytest.approx(expected, rel=1e-6)
    assert estimate.low < estimate.value < estimate.high


def test_the_dense_model_against_itself(dense: Samples, reference: Reference) -> None:
    flat = replace(dense, media=torch.full_like(dense.media, 17))
    for samples in (dense, flat):
        itself = replace(reference, dense=samples)
        estimate = StructuralSimilarity()(samples, itself)
        assert (estimate.value, estimate.low, estimate.high) == (1.0, 1.0, 1.0)
        assert PeakSignalToNoise()(samples, itself) == UNDEFINED


def test_one_equal_image_makes_the_mean_psnr_undefined(pruned: Samples, reference: Reference) -> None:
    media = pruned.media.clone()
    media[0, 0] = reference.dense.media[0, 0]
    assert PeakSignalToNoise()(replace(pruned, media=media), reference) == UNDEFINED
