"""The MDCT against its sum written out, and back without loss."""

import math

import pytest
import torch

from prunelab.models.mdct import as_pictures, as_waveforms, inverse_mdct, mdct

BINS, FRAMES = 8, 5


def waveforms(samples: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, samples, generator=torch.Generator().manual_seed(0))


def test_it_is_its_sum() -> None:
    signal = waveforms((FRAMES - 1) * BINS, 1)[0].tolist()
    padded = [0.0] * BINS + signal + [0.0] * BINS
    found = mdct(torch.tensor([signal]), BINS)[0]
    assert found.shape == (BINS, FRAMES)
    for frame in range(FRAMES):
        for k in range(BINS):
            total = sum(
                math.sin(math.pi / (2 * BINS) * (n + 0.5))
                * padded[frame * BINS + n]
                * math.cos(math.pi / BINS * (n + 0.5 + BINS / 2) * (k + 0.5))
                for n in range(2 * BINS)
            )
            assert found[k, frame].item() == pytest.approx(math.sqrt(2 / BINS) * total, abs=1e-5)


def test_the_inverse_is_exact_and_energy_is_kept() -> None:
    signal = waveforms(31 * 128)
    coefficients = mdct(signal, 128)
    assert coefficients.shape == (2, 128, 32)
    assert (inverse_mdct(coefficients) - signal).abs().max() < 1e-5
    assert coefficients.square().sum().item() == pytest.approx(signal.square().sum().item(), rel=1e-5)


def test_the_transform_of_unpadded_frames_is_orthonormal() -> None:
    units = torch.eye(3 * BINS)
    matrix = mdct(units, BINS).flatten(1)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3 * BINS), rtol=0, atol=1e-6)


def test_pictures_lead_back_to_the_sound() -> None:
    sounds = waveforms(31 * 128)[:, None] / 4
    pictures = as_pictures(sounds, 128, 2)
    assert pictures.shape == (2, 2, 64, 32)
    assert (as_waveforms(pictures) - sounds).abs().max() < 1e-5
    folded = mdct(sounds[:, 0], 128)[1, 7, 3]  # bin 7 is the second channel of row 3
    assert pictures[1, 1, 3, 3].item() == pytest.approx(
        math.copysign(math.sqrt(abs(folded.item())), folded.item()), abs=1e-6
    )
