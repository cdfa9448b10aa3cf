"""Class imbalance against counting by hand."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from prunelab.core.estimates import UNDEFINED
from prunelab.core.samples import Reference, Samples
from prunelab.metrics.balance import ClassImbalance


def by_hand(drawn: list[int], real: list[int]) -> float:
    p, q = Counter(drawn), Counter(real)
    return sum(abs(p[c] / len(drawn) - q[c] / len(real)) for c in {*p, *q}) / 2


def test_it_is_the_mean_distance_of_shares(pruned: Samples, reference: Reference) -> None:
    expected = [
        sum(
            by_hand(pruned.predictions[label][seed].tolist(), reference.classes[label].tolist())
            for label in ("digit", "colour")
        )
        / 2
        for seed in range(2)
    ]
    estimate = ClassImbalance()(pruned, reference)
    assert estimate.value == pytest.approx(sum(expected) / 2)
    assert (estimate.low, estimate.high) == pytest.approx((min(expected), max(expected)))
    assert estimate.n == 40, "of each sampling seed"


def test_its_two_ends(pruned: Samples, reference: Reference) -> None:
    alike = replace(reference, classes={"digit": torch.tensor([0, 1, 2, 2])})
    for shown, expected in (([2, 0, 2, 1], 0.0), ([0, 0, 0, 0], 0.75), ([3, 4, 4, 5], 1.0)):
        samples = replace(pruned, predictions={"digit": torch.tensor([shown, shown])})
        assert ClassImbalance()(samples, alike).value == expected


def test_undefined_where_the_judge_names_nothing(pruned: Samples, reference: Reference) -> None:
    assert ClassImbalance()(replace(pruned, predictions={}), reference) == UNDEFINED
