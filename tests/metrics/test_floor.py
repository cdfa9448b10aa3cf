"""Real against real, and what a distance says of itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prunelab.core.draws import order
from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.samples import Reference, Samples
from prunelab.metrics.floor import floor
from prunelab.metrics.frechet import FrechetDistance
from prunelab.metrics.kernel import KernelDistance

DISTANCES = [FrechetDistance(), KernelDistance()]


def with_real(reference: Reference, count: int) -> Reference:
    real = torch.randn(count, 5, generator=torch.Generator().manual_seed(1))
    return replace(reference, real=real)


@pytest.mark.parametrize("metric", DISTANCES)
def test_it_is_the_metric_of_real_examples_as_samples(
    metric: FrechetDistance | KernelDistance, pruned: Samples, reference: Reference
) -> None:
    """Two groups of 40, one per sampling seed, each against all the others of 130."""
    reference = with_real(reference, 130)
    shuffled = reference.real[order(130, 0, 0, "floor of distances")]
    groups = [
        metric(replace(pruned, features=shuffled[None, :40]), replace(reference, real=shuffled[40:])).value,
        metric(
            replace(pruned, features=shuffled[None, 40:80]),
            replace(reference, real=torch.cat([shuffled[:40], shuffled[80:]])),
        ).value,
    ]
    found = metric(pruned, reference).floor
    assert found is not None
    assert found.value == pytest.approx(np.mean(groups), rel=1e-6)
    assert (found.low, found.high) == pytest.approx((min(groups), max(groups)), rel=1e-6)
    assert found.n == 40


@pytest.mark.parametrize("metric", DISTANCES)
def test_a_perfect_model_reaches_it_and_a_moved_one_does_not(
    metric: FrechetDistance | KernelDistance, pruned: Samples, reference: Reference
) -> None:
    reference = with_real(reference, 1000)
    random = torch.Generator().manual_seed(2)
    perfect = replace(pruned, features=torch.randn(3, 200, 5, generator=random))
    moved = replace(pruned, features=perfect.features + 0.5)
    good, bad = metric(perfect, reference), metric(moved, reference)
    assert good.floor == bad.floor
    assert good.value == pytest.approx(good.floor.value, abs=0.1)
    assert bad.value > 5 * abs(bad.floor.value)


@pytest.mark.parametrize(("real", "groups"), [(79, 0), (80, 1), (119, 1), (120, 2), (400, 2)])
def test_as_many_groups_as_there_are_others_for(real: int, groups: int) -> None:
    seen = []

    def distance(one: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        assert not set(one[:, 0].tolist()) & set(others[:, 0].tolist())
        seen.append((len(one), len(others)))
        return one.sum()

    found = floor(distance, torch.arange(float(real))[:, None], 2, 40)
    assert seen == [(40, real - 40)] * groups
    assert (found == UNDEFINED) == (groups == 0)


def test_fewer_samples_than_features_warn(pruned: Samples, reference: Reference) -> None:
    """Of samples or of real data; a kernel distance takes no covariance."""
    assert FrechetDistance()(pruned, reference).warning is None
    few = replace(pruned, features=pruned.features[:, :4])
    for samples, real in ((few, reference), (pruned, replace(reference, real=reference.real[:4]))):
        warning = FrechetDistance()(samples, real).warning
        assert warning is not None
        assert warning.startswith("4 samples are fewer than the 5 features")
    assert KernelDistance()(few, reference).warning is None


@pytest.mark.parametrize("metric", DISTANCES)
def test_estimates_survive_json(
    metric: FrechetDistance | KernelDistance, pruned: Samples, reference: Reference
) -> None:
    for real in (60, 400, 4):
        estimate = metric(pruned, with_real(reference, real))
        assert Estimate.from_json(estimate.as_json()) == estimate
    assert UNDEFINED.as_json() == {"value": None, "low": None, "high": None, "n": 0}
