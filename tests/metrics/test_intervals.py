"""Intervals against straight-line code, against the normal approximation, and against a known model."""

import numpy as np
import pytest
import torch
from scipy import stats

from prunelab.core.samples import Reference, Samples
from prunelab.metrics import intervals
from prunelab.metrics.accuracy import PromptAccuracy
from prunelab.metrics.intervals import bootstrap, spread


def test_bootstrap_agrees_with_the_normal_interval_of_a_mean() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
    estimate = bootstrap(values)
    half = 1.96 * values.std().item() / 1000**0.5
    assert estimate.value == pytest.approx(values.mean().item(), abs=1e-12)
    assert estimate.low == pytest.approx(values.mean().item() - half, abs=0.15 * half)
    assert estimate.high == pytest.approx(values.mean().item() + half, abs=0.15 * half)
    assert estimate.n == 1000


def bca(units: list[list[float]]) -> tuple[float, float]:
    """Efron (1987) of the mean of all values when units are resampled, as a loop."""

    def mean(chosen: list[list[float]]) -> float:
        return float(np.mean([value for unit in chosen for value in unit]))

    random, count, found = np.random.default_rng(0), len(units), mean(units)
    means = [
        mean([units[i] for i in row]) for row in random.integers(0, count, size=(intervals.RESAMPLES, count))
    ]
    below = (np.mean(np.array(means) < found) + np.mean(np.array(means) <= found)) / 2
    bias = stats.norm.ppf(below)
    left_out = [mean(units[:i] + units[i + 1 :]) for i in range(count)]
    gaps = np.mean(left_out) - np.array(left_out)
    pull = (gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5)
    shifted = [bias + stats.norm.ppf(level) for level in (0.025, 0.975)]
    low, high = np.quantile(means, [stats.norm.cdf(bias + s / (1 - pull * s)) for s in shifted])
    return float(low), float(high)


def test_bootstrap_is_the_loop_over_resampled_prompts() -> None:
    """Two seeds of six draws, of which two pairs ask for the same."""
    values = torch.tensor([[0.0, 1.0, 1.0, 4.0, 9.0, 2.0], [0.5, 1.0, 3.0, 4.5, 7.0, 1.0]])
    estimate = bootstrap(values, ["c", "a", "b", "a", "d", "b"])
    units = [[1.0, 4.0, 1.0, 4.5], [1.0, 2.0, 3.0, 1.0], [0.0, 0.5], [9.0, 7.0]]
    assert (estimate.low, estimate.high) == pytest.approx(bca(units), rel=1e-6)
    assert (estimate.value, estimate.n) == (pytest.approx(values.mean().item()), 4)


@pytest.mark.parametrize("prompts", [(), [""] * 6, ["the same"] * 6])
def test_without_prompts_to_tell_apart_each_sample_is_resampled(prompts: list[str]) -> None:
    values = torch.rand(2, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    estimate = bootstrap(values, prompts)
    assert (estimate.low, estimate.high) == pytest.approx(bca([[v] for v in values.flatten().tolist()]))
    assert estimate.n == 12


def test_the_memory_is_bounded_and_many_units_have_percentiles(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.rand(400, generator=torch.Generator().manual_seed(1))
    whole = bootstrap(values)
    monkeypatch.setattr(intervals, "CELLS", 900)
    blocks = bootstrap(values)
    monkeypatch.setattr(intervals, "MANY", 399)
    plain = bootstrap(values)
    width = whole.high - whole.low
    for other in (blocks, plain):
        assert (other.low, other.high) == pytest.approx((whole.low, whole.high), abs=0.1 * width)


def test_bootstrap_repeats_itself_and_does_not_touch_the_global_generator() -> None:
    values = torch.rand(50, generator=torch.Generator().manual_seed(1))
    state = torch.get_rng_state()
    assert bootstrap(values) == bootstrap(values)
    assert torch.equal(torch.get_rng_state(), state)


def test_equal_values_have_an_interval_of_no_width() -> None:
    """Of all samples, or of all prompts."""
    for values in (torch.full((2, 7), 0.5), torch.tensor([[0.0] * 7, [1.0] * 7])):
        estimate = bootstrap(values, list("abcdefg"))
        assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0.5, 0.5, 0.5, 7)


def test_a_share_of_all_is_not_certain() -> None:
    """Clopper and Pearson: of prompts that are all right, the true share may be 0.025^(1/n)."""
    right = torch.ones(3, 20, dtype=torch.bool)
    estimate = bootstrap(right, [str(i) for i in range(20)])
    assert (estimate.low, estimate.high) == pytest.approx((0.025 ** (1 / 20), 1))
    none = bootstrap(~right, [str(i) for i in range(20)])
    assert (none.low, none.high) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))


def test_one_input_alone_has_no_width() -> None:
    assert bootstrap(torch.tensor([2.0])).high == 2


def independent(right: torch.Tensor, random: np.random.Generator) -> tuple[float, float]:
    """The interval that takes all samples for independent: percentiles of resampled samples."""
    share = right.double().mean().item()
    return tuple(np.quantile(random.binomial(right.numel(), share, 1000) / right.numel(), [0.025, 0.975]))


def test_an_interval_of_accuracy_covers_the_truth(dense: Samples) -> None:
    """A model that fulfils prompt i with probability p_i of Beta(1, 0.25): 80 % of all prompts there are.

    Of 300 evaluations of 60 prompts under three noises each, 95 % are to cover it, within two and a half
    standard deviations of that count, 3.1 %; the interval over single samples misses far more often.
    """
    random, metric = np.random.default_rng(5), PromptAccuracy()
    prompts, truth, evaluations = [str(i) for i in range(60)], 0.8, 300
    covered, alone = 0, 0
    for _ in range(evaluations):
        right = torch.from_numpy(random.random((3, 60)) < random.beta(1, 0.25, size=60))
        samples = Samples(dense.media, dense.features, {"digit": right.long()}, {}, dense.outputs)
        asked = {"digit": torch.ones(60, dtype=torch.long)}
        estimate = metric(samples, Reference(dense.features[0], {}, asked, dense, prompts))
        low, high = independent(right, random)
        covered += estimate.low <= truth <= estimate.high
        alone += low <= truth <= high
    assert 0.919 <= covered / evaluations <= 0.981
    assert alone / evaluations < 0.9


def test_spread_is_mean_smallest_and_largest() -> None:
    estimate = spread(torch.tensor([3.0, 1.0, 2.0]), samples=30)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (2.0, 1.0, 3.0, 30)


@pytest.mark.parametrize("values", [torch.tensor([]), torch.tensor([1.0, float("nan")])])
def test_no_mean_of_nothing_or_of_nan(values: torch.Tensor) -> None:
    with pytest.raises(AssertionError):
        bootstrap(values)
