"""The spectral distance against its formula in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prunelab.core.samples import Reference, Samples
from prunelab.metrics.spectral_distance import SpectralDistance

SAMPLES = 256


@pytest.fixture
def reference(reference: Reference) -> Reference:
    """Nothing is asked for."""
    return replace(reference, prompts=())


@pytest.fixture
def heard(dense: Samples) -> Samples:
    random = torch.Generator().manual_seed(5)
    media = torch.randint(-9000, 9000, (2, 3, 1, SAMPLES), generator=random).to(torch.int16)
    media[..., 128:] = 0
    return replace(dense, media=media)


def magnitudes(sound: np.ndarray, window: int) -> np.ndarray:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    padded = np.pad(sound / 32768, window // 2, mode="reflect")
    starts = range(0, SAMPLES + 1, window // 4)
    spectrum = np.abs([np.fft.rfft(hann * padded[i : i + window]) for i in starts])
    return np.maximum(spectrum / (window / 4), 1e-3)


def distance_of(ours: np.ndarray, dense: np.ndarray) -> float:
    parts = []
    for window in (32, 64):
        a, b = magnitudes(ours, window), magnitudes(dense, window)
        convergence = np.sqrt(((a - b) ** 2).sum()) / np.sqrt((b**2).sum())
        parts.append(convergence + np.abs(np.log(a) - np.log(b)).mean())
    return float(np.mean(parts))


def test_it_is_its_formula(heard: Samples, reference: Reference) -> None:
    softer = replace(heard, media=heard.media // 2 + heard.media.roll(3, dims=-1) // 4)
    pairs = zip(softer.media.flatten(0, 2).numpy(), heard.media.flatten(0, 2).numpy(), strict=True)
    expected = np.mean([distance_of(a, b) for a, b in pairs])
    estimate = SpectralDistance(windows=(32, 64))(softer, replace(reference, dense=heard))
    assert estimate.value == pytest.approx(expected, rel=1e-6)
    assert estimate.n == 6
    assert expected > 0.1


def test_the_dense_model_against_itself(heard: Samples, reference: Reference) -> None:
    estimate = SpectralDistance(windows=(32, 64))(heard, replace(reference, dense=heard))
    assert (estimate.value, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


def test_what_lies_below_the_floor_does_not_count(heard: Samples, reference: Reference) -> None:
    noisy = heard.media.clone()
    noisy[..., 200:] += torch.randint(-2, 3, noisy[..., 200:].shape).to(torch.int16)
    estimate = SpectralDistance(windows=(32,))(replace(heard, media=noisy), replace(reference, dense=heard))
    assert estimate.value == pytest.approx(0.0, abs=1e-3)
