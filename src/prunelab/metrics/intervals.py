"""How far a measured number may be trusted: bootstrap intervals of means, spreads of distances."""

import numpy as np
import torch
from torch import Tensor

from prunelab.core.estimates import Estimate

RESAMPLES = 1000
COVERAGE = 0.95
SEED = 0  # fixed, so that equal samples have equal intervals
CELLS = 10_000_000  # drawn at once, which bounds the memory to some 80 MB


def bootstrap(values: Tensor) -> Estimate:
    """The mean of ``values`` (any shape, one number per sample) and its percentile bootstrap interval.

    Efron and Tibshirani (1993), chapter 13: 95 % of the means of 1000 resamples lie within.
    """
    sample = values.detach().cpu().double().flatten().numpy()
    assert sample.size, "a mean needs samples"
    assert np.isfinite(sample).all(), "a mean needs finite samples"
    low, high = np.quantile(_resampled_means(sample), [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Estimate(float(sample.mean()), float(low), float(high), sample.size)


def spread(values: Tensor, samples: int) -> Estimate:
    """The mean over sampling seeds of ``values``, shape (S,), between the smallest and the largest.

    For distances between distributions, whose bootstrap is biased. ``samples`` is how many are behind
    all seeds together.
    """
    assert values.ndim == 1, "a spread needs one value per seed"
    assert torch.isfinite(values).all(), "a spread needs finite values"
    exact = values.double()
    return Estimate(exact.mean().item(), exact.min().item(), exact.max().item(), samples)


def _resampled_means(sample: np.ndarray) -> np.ndarray:
    """The means of ``RESAMPLES`` draws with replacement, in as few blocks as the memory allows."""
    random = np.random.default_rng(SEED)
    rows = max(1, CELLS // sample.size)
    blocks = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    draws = (random.integers(sample.size, size=(block, sample.size)) for block in blocks)
    return np.concatenate([sample[draw].mean(axis=1) for draw in draws])
