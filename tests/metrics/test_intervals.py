"""Intervals against a loop over resamples and against the normal approximation."""

import numpy as np
import pytest
import torch

from prunelab.metrics import intervals
from prunelab.metrics.intervals import bootstrap, spread


def test_bootstrap_agrees_with_the_normal_interval_of_a_mean() -> None:
    values = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
    estimate = bootstrap(values)
    half = 1.96 * values.std().item() / 2000**0.5
    assert estimate.value == pytest.approx(values.mean().item(), abs=1e-12)
    assert estimate.low == pytest.approx(values.mean().item() - half, abs=0.15 * half)
    assert estimate.high == pytest.approx(values.mean().item() + half, abs=0.15 * half)
    assert estimate.n == 2000


def test_bootstrap_is_the_loop_over_resamples() -> None:
    values = np.array([0.0, 1.0, 1.0, 4.0, 9.0])
    random = np.random.default_rng(0)
    means = [np.mean([values[i] for i in row]) for row in random.integers(5, size=(1000, 5))]
    estimate = bootstrap(torch.tensor(values).reshape(5, 1))
    assert estimate.low == pytest.approx(np.percentile(means, 2.5))
    assert estimate.high == pytest.approx(np.percentile(means, 97.5))


def test_bootstrap_repeats_itself_and_does_not_touch_the_global_generator() -> None:
    values = torch.rand(50, generator=torch.Generator().manual_seed(1))
    state = torch.get_rng_state()
    assert bootstrap(values) == bootstrap(values)
    assert torch.equal(torch.get_rng_state(), state)


def test_blocks_bound_the_memory_and_not_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "CELLS", 70)
    sample = np.arange(10.0)
    assert intervals._resampled_means(sample).shape == (1000,)


def test_equal_values_have_an_interval_of_no_width() -> None:
    estimate = bootstrap(torch.full((2, 7), 0.5))
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0.5, 0.5, 0.5, 14)


def test_spread_is_mean_smallest_and_largest() -> None:
    estimate = spread(torch.tensor([3.0, 1.0, 2.0]), samples=30)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (2.0, 1.0, 3.0, 30)


@pytest.mark.parametrize("values", [torch.tensor([]), torch.tensor([1.0, float("nan")])])
def test_no_mean_of_nothing_or_of_nan(values: torch.Tensor) -> None:
    with pytest.raises(AssertionError):
        bootstrap(values)
