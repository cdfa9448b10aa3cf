"""Fréchet distance against scipy's matrix square root."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from prunelab.core.estimates import NOTHING_REAL
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import runtime
from prunelab.metrics.frechet import FrechetDistance


def by_sqrtm(generated: np.ndarray, real: np.ndarray) -> float:
    gap = generated.mean(0) - real.mean(0)
    one, two = np.cov(generated, rowvar=False), np.cov(real, rowvar=False)
    return float(gap @ gap + np.trace(one + two - 2 * sqrtm(one @ two).real))


def test_agrees_with_the_matrix_square_root(pruned: Samples, reference: Reference) -> None:
    expected = [by_sqrtm(f.double().numpy(), reference.real.double().numpy()) for f in pruned.features]
    estimate = FrechetDistance()(pruned, reference)
    assert estimate.value == pytest.approx(np.mean(expected), rel=1e-6)
    assert (estimate.low, estimate.high) == pytest.approx((min(expected), max(expected)), rel=1e-6)
    assert estimate.n == 40, "of each sampling seed"


def test_a_title_enters_no_address() -> None:
    assert runtime(FrechetDistance) == {"title"}
    assert FrechetDistance(title="Another").quantity.title == "Another"


def test_equal_sets_are_at_distance_zero(pruned: Samples, reference: Reference) -> None:
    same = replace(pruned, features=reference.real[None])
    assert FrechetDistance()(same, reference).value == pytest.approx(0, abs=1e-6)


def test_a_shift_costs_its_square(pruned: Samples, reference: Reference) -> None:
    shift = torch.tensor([3.0, 0, 4.0, 0, 0])
    moved = replace(pruned, features=(reference.real + shift)[None])
    assert FrechetDistance()(moved, reference).value == pytest.approx(25, rel=1e-5)


def test_without_real_data_there_is_no_distance(pruned: Samples, reference: Reference) -> None:
    assert FrechetDistance()(pruned, replace(reference, real=reference.real[:0])) == NOTHING_REAL
