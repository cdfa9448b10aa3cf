"""Kernel distance against the double sum of the unbiased estimator, over all pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prunelab.core.draws import order
from prunelab.core.estimates import NOTHING_REAL
from prunelab.core.samples import Reference, Samples
from prunelab.metrics import kernel
from prunelab.metrics.kernel import KernelDistance


def by_double_sum(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


@pytest.mark.parametrize("cells", [kernel.CELLS, 100])
@pytest.mark.parametrize("real", [40, 60])
def test_everything_is_compared(
    pruned: Samples, reference: Reference, real: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal and of unequal numbers, in one block and in many."""
    monkeypatch.setattr(kernel, "CELLS", cells)
    cut = replace(reference, real=reference.real[:real])
    expected = [by_double_sum(f.double().numpy(), cut.real.double().numpy()) for f in pruned.features]
    estimate = KernelDistance()(pruned, cut)
    assert estimate.value == pytest.approx(np.mean(expected), rel=1e-9)
    assert (estimate.low, estimate.high) == pytest.approx((min(expected), max(expected)), rel=1e-9)
    assert estimate.n == 40


def test_more_than_most_are_compared_in_parts(pruned: Samples, reference: Reference) -> None:
    """Forty generated and sixty real ones in two parts of twenty and thirty."""
    generated, real = (
        features.double().numpy()[order(len(features), 0, 0, "parts of the kernel distance")]
        for features in (pruned.features[0], reference.real)
    )
    parts = [by_double_sum(generated[:20], real[:30]), by_double_sum(generated[20:], real[30:])]
    one = replace(pruned, features=pruned.features[:1])
    assert KernelDistance(most=30)(one, reference).value == pytest.approx(np.mean(parts), rel=1e-9)


def test_deterministic_and_the_global_generator_is_left_alone(pruned: Samples, reference: Reference) -> None:
    metric = KernelDistance(most=20)
    state = torch.get_rng_state()
    assert metric(pruned, reference) == metric(pruned, reference)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_real_data_there_is_no_distance(pruned: Samples, reference: Reference) -> None:
    assert KernelDistance()(pruned, replace(reference, real=reference.real[:0])) == NOTHING_REAL
