"""Rounding rules against cases small enough to be written down."""

import pytest
import torch

from prunelab.budgets.everywhere import Everywhere
from prunelab.budgets.isomorphic import Isomorphic
from prunelab.budgets.knapsack import Knapsack
from prunelab.budgets.per_component import PerComponent
from prunelab.budgets.per_granularity import PerGranularity
from prunelab.budgets.rounding import count
from prunelab.budgets.uniform import Uniform
from prunelab.core.errors import Refusal
from prunelab.core.scores import removed
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Gate, Unit


def unit(elements: int, runs: int, name: str = "a") -> Unit:
    return Unit("denoiser", name, "channel", elements, (), Gate(name, "input"), name, runs=runs)


class Free:
    def cost(self, unit: Unit) -> float:
        return 1.0

    def total(self, component: str) -> float:
        return 8.0


@pytest.mark.parametrize(
    ("elements", "runs", "kept"),
    [(128, 32, 96), (256, 32, 192), (512, 32, 384), (256, 1, 179), (512, 1, 358)],
)
def test_published_widths_of_the_cifar10_model_at_0_3(elements: int, runs: int, kept: int) -> None:
    assert elements - count(unit(elements, runs), 0.3, "published") == kept


@pytest.mark.parametrize(
    ("elements", "runs", "share", "rounding", "multiple", "gone"),
    [
        (10, 0, 0.29, "none", 8, 2),  # int(2.9)
        (10, 0, 0.29, "published", 8, 3),  # 10 - int(7.1)
        (32, 8, 0.3, "none", 8, 8),  # int(9.6) = 9, one of each of 8 runs
        (33, 1, 0.5, "none", 8, 16),
        (33, 1, 0.5, "published", 8, 17),
        (32, 8, 0.1, "published", 8, 0),  # 32 - int(28.8) = 4, none of each run
        (32, 8, 0.99, "published", 8, 24),  # a run keeps one
        (4, 1, 0.99, "published", 8, 3),
        (179, 1, 0.3, "multiple", 8, 51),  # 125.3 stay -> 128
        (256, 32, 0.3, "multiple", 8, 64),  # 179.2 stay -> 192, the multiple of 32
        (256, 1, 0.3, "multiple", 32, 64),  # 179.2 -> 192
        (40, 1, 0.5, "multiple", 8, 16),  # 20 lies between 16 and 24: the larger
        (12, 1, 0.9, "multiple", 8, 4),  # at least one multiple stays
        (6, 1, 0.5, "multiple", 8, 0),  # there is no multiple to keep
        (24, 1, 0.0, "multiple", 16, 0),  # nothing was asked for
        (20, 4, 0.3, "multiple", 8, 4),  # 14 stay -> 16 of multiples of 8 and of 4
    ],
)
def test_by_hand(elements: int, runs: int, share: float, rounding: str, multiple: int, gone: int) -> None:
    assert count(unit(elements, runs), share, rounding, multiple) == gone


def test_each_run_loses_its_own_lowest() -> None:
    scores = {"denoiser/a#channel": torch.tensor([1.0, 2, 3, 4, 50, 60, 40, 30])}
    plan = Uniform(rounding="published").plan(scores, [unit(8, 2)], Free(), Sparsity(0.5))
    assert plan["denoiser/a#channel"].tolist() == [False, False, True, True, True, True, False, False]
    free = Uniform(rounding="published").plan(scores, [unit(8, 1)], Free(), Sparsity(0.5))
    assert free["denoiser/a#channel"].tolist() == [False] * 4 + [True] * 4


def test_a_multiple_that_leaves_nothing_to_remove_is_refused() -> None:
    scores = {"denoiser/a#channel": torch.arange(24.0)}
    with pytest.raises(Refusal, match=r"smaller multiple"):
        Uniform(rounding="multiple", multiple=32).plan(scores, [unit(24, 1)], Free(), Sparsity(0.3))
    plan = Uniform(rounding="multiple", multiple=8).plan(scores, [unit(24, 1)], Free(), Sparsity(0.3))
    assert removed(plan) == 8


def test_what_does_not_fit_channels_is_refused() -> None:
    pair = [unit(8, 2, "a"), unit(8, 2, "b")]
    scores = {each.name: torch.rand(8) for each in pair}
    for budget in (Everywhere(), PerComponent(), PerGranularity(), Isomorphic(), Knapsack()):
        with pytest.raises(Refusal, match="budget=uniform"):
            budget.plan(scores, pair, Free(), Sparsity(0.3))
    with pytest.raises(Refusal, match=r"budget\.of=elements"):
        Uniform(of="latency").plan(scores, pair, Free(), Sparsity(0.3))
    with pytest.raises(Refusal, match="none, published, multiple"):
        Uniform(rounding="up")
    with pytest.raises(Refusal, match="multiple=0"):
        Uniform(rounding="multiple", multiple=0)
