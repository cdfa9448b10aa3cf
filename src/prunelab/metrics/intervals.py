"""How far a measured number may be trusted: bootstrap intervals of means, spreads of distances."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from prunelab.core.estimates import Estimate

RESAMPLES = 2000
COVERAGE = 0.95
SEED = 0  # fixed, so that equal samples have equal intervals
CELLS = 10_000_000  # drawn at once, which bounds the memory to some 80 MB
MANY = 2000  # units, beyond which BCa and percentiles agree and the jackknife takes long


def bootstrap(values: Tensor, prompts: Sequence[str] = ()) -> Estimate:
    """The mean of ``values``, one number per sample, and its 95 % bootstrap interval over independent units.

    values: of any shape whose last rows are the n draws, such as (S, n). prompts: what the draws were asked
    to show, n of them. Samples of one prompt (its noises, and draws of the same text) are no independent
    samples of what the model does with prompts: they are resampled together. Where nothing was asked for,
    or the same of all, each sample is resampled by itself. ``n`` is the number of what is resampled.

    The interval is BCa, Efron (1987), J. Am. Stat. Assoc. 82: percentiles cover too little near 0 and 1.
    A share of none or all has the exact binomial interval of its units, as there is nothing to resample.
    """
    sample = values.detach().cpu().double().flatten().numpy()
    assert sample.size, "a mean needs samples"
    assert np.isfinite(sample).all(), "a mean needs finite samples"
    units = _units(prompts, sample.size)
    sums, sizes = np.bincount(units, weights=sample), np.bincount(units).astype(float)
    low, high = float(sample.min()), float(sample.max())
    if np.ptp(sums / sizes) > 0:
        low, high = _interval(sums, sizes)
    elif low == high and values.dtype == torch.bool:
        from scipy import stats

        exact = stats.binomtest(int(low) * len(sums), len(sums)).proportion_ci(COVERAGE)
        low, high = exact.low, exact.high
    else:
        low = high = float(sample.mean())
    return Estimate(float(sample.mean()), float(low), float(high), len(sums))


def spread(values: Tensor, samples: int) -> Estimate:
    """The mean over sampling seeds of ``values``, shape (S,), between the smallest and the largest.

    For distances between distributions, whose bootstrap is biased. ``samples`` is how many are behind
    each of them.
    """
    assert values.ndim == 1, "a spread needs one value per seed"
    assert torch.isfinite(values).all(), "a spread needs finite values"
    exact = values.double()
    return Estimate(exact.mean().item(), exact.min().item(), exact.max().item(), samples)


def _units(prompts: Sequence[str], samples: int) -> np.ndarray:
    """The number of the independent unit that each sample belongs to, int64 (samples,)."""
    if len(set(prompts)) < 2:
        return np.arange(samples)
    _, numbers = np.unique(np.asarray(prompts), return_inverse=True)
    assert samples % len(prompts) == 0, "every draw has its prompt"
    return np.tile(numbers, samples // len(prompts))


def _interval(sums: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Of the mean over units with these sums of values and numbers of samples, (units,) each."""
    from scipy import stats  # takes a second

    found = stats.bootstrap(
        (sums, sizes),
        lambda total, size, axis: total.sum(axis=axis) / size.sum(axis=axis),
        paired=True,
        n_resamples=RESAMPLES,
        batch=max(1, CELLS // len(sums)),
        confidence_level=COVERAGE,
        method="BCa" if len(sums) <= MANY else "percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return found.low, found.high
