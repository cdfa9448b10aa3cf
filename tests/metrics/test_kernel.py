"""Kernel distance against the double sum of the unbiased estimator."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from prunelab.core.estimates import UNDEFINED
from prunelab.core.samples import Reference, Samples
from prunelab.metrics.kernel import KernelDistance


def by_double_sum(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_equal_sizes_are_compared_whole(pruned: Samples, reference: Reference) -> None:
    cut = replace(reference, real=reference.real[:40])
    expected = [by_double_sum(f.double().numpy(), cut.real.double().numpy()) for f in pruned.features]
    estimate = KernelDistance()(pruned, cut)
    assert estimate.value == pytest.approx(np.mean(expected), rel=1e-9)
    assert (estimate.low, estimate.high) == pytest.approx((min(expected), max(expected)), rel=1e-9)
    assert estimate.n == 80


def test_subsets_estimate_the_same_number(pruned: Samples, reference: Reference) -> None:
    real = reference.real.double().numpy()
    expected = np.mean([by_double_sum(f.double().numpy(), real) for f in pruned.features])
    estimate = KernelDistance(subset_size=30, subsets=400)(pruned, reference)
    assert estimate.value == pytest.approx(expected, rel=0.05)


def test_deterministic_and_the_global_generator_is_left_alone(pruned: Samples, reference: Reference) -> None:
    metric = KernelDistance(subset_size=20, subsets=5)
    state = torch.get_rng_state()
    assert metric(pruned, reference) == metric(pruned, reference)
    assert torch.equal(torch.get_rng_state(), state)
    assert metric(pruned, reference) != KernelDistance(subset_size=20, subsets=5, seed=1)(pruned, reference)


def test_no_warnings(pruned: Samples, reference: Reference) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        KernelDistance(subsets=2)(pruned, reference)


def test_without_real_data_there_is_no_distance(pruned: Samples, reference: Reference) -> None:
    assert KernelDistance()(pruned, replace(reference, real=reference.real[:0])) == UNDEFINED
