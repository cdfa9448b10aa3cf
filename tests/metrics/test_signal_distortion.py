"""SI-SDR against its formula."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prunelab.core.estimates import UNDEFINED
from prunelab.core.samples import Reference, Samples
from prunelab.metrics.signal_distortion import SignalDistortion


@pytest.fixture
def reference(reference: Reference) -> Reference:
    """Nothing is asked for."""
    return replace(reference, prompts=())


@pytest.fixture
def heard(dense: Samples) -> Samples:
    random = torch.Generator().manual_seed(6)
    return replace(dense, media=torch.randint(-9000, 9000, (2, 3, 1, 64), generator=random).to(torch.int16))


@pytest.fixture
def other(heard: Samples) -> Samples:
    return replace(heard, media=heard.media // 2 + heard.media.roll(1, dims=-1) // 3)


def ratio_of(ours: np.ndarray, dense: np.ndarray) -> float:
    part = (ours @ dense) / (dense @ dense) * dense
    return float(10 * np.log10((part @ part) / ((ours - part) @ (ours - part))))


def test_it_is_its_formula(heard: Samples, other: Samples, reference: Reference) -> None:
    pairs = zip(*(s.media.flatten(0, 2).double().numpy() for s in (other, heard)), strict=True)
    expected = np.mean([ratio_of(a, b) for a, b in pairs])
    estimate = SignalDistortion()(other, replace(reference, dense=heard))
    assert estimate.value == pytest.approx(expected, abs=1e-6)
    assert estimate.n == 6


def test_loudness_does_not_count(heard: Samples, other: Samples, reference: Reference) -> None:
    dense = replace(reference, dense=heard)
    louder = replace(other, media=other.media * 2)
    values = [SignalDistortion()(samples, dense).value for samples in (other, louder)]
    assert values[0] == pytest.approx(values[1], abs=1e-6)


@pytest.mark.parametrize("what", ["equal", "silent", "dense silent"])
def test_one_pair_without_a_ratio_makes_the_mean_undefined(
    heard: Samples, other: Samples, reference: Reference, what: str
) -> None:
    ours, dense = other.media.clone(), heard.media.clone()
    if what == "equal":
        ours[1, 2] = dense[1, 2]
    else:
        (ours if what == "silent" else dense)[0, 1] = 0
    samples = replace(other, media=ours)
    assert SignalDistortion()(samples, replace(reference, dense=replace(heard, media=dense))) == UNDEFINED
