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
    """Of (channels, height, width) in [0, 255]: a Gaussian window of 11 by 11, sigma 1.5.

    The mean over the places where the whole window lies within the image.
    """

    def window(image: np.ndarray) -> np.ndarray:
        return np.stack([gaussian_filter(c, 1.5, radius=5)[5:-5, 5:-5] for c in image])

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
    assert estimate.value == pytest.approx(expected, abs=1e-12)
    assert estimate.n == 40, "of draws, whose two noises belong together"


def test_ssim_window_by_window(pruned: Samples, reference: Reference) -> None:
    """The published formula in every window, with nothing but sums; images of 16 by 13."""
    x, y = (media[0, 0, 0, :, :13].double() for media in (pruned.media, reference.dense.media))
    distance = torch.arange(-5.0, 6, dtype=torch.float64)
    weights = torch.exp(-(distance[:, None] ** 2 + distance**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for i in range(6):
        for j in range(3):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = ((weights * (p - m) ** 2).sum() for p, m in ((a, mean_a), (b, mean_b)))
            both = (weights * (a - mean_a) * (b - mean_b)).sum()
            top = (2 * mean_a * mean_b + 2.55**2) * (2 * both + 7.65**2)
            values.append(top / ((mean_a**2 + mean_b**2 + 2.55**2) * (var_a + var_b + 7.65**2)))
    one = [replace(each, media=each.media[:1, :1, :1, :, :13]) for each in (pruned, reference.dense)]
    estimate = StructuralSimilarity()(one[0], replace(reference, dense=one[1], prompts=()))
    assert estimate.value == pytest.approx(torch.stack(values).mean().item(), abs=1e-12)


def test_where_no_window_fits_there_is_no_ssim(dense: Samples, reference: Reference) -> None:
    small = replace(dense, media=dense.media[..., :10])
    assert StructuralSimilarity()(small, replace(reference, dense=small)) == UNDEFINED


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
