"""Knapsack against exhaustive search; isomorphic groups by hand."""

import itertools

import pytest
import torch

from prunelab.budgets import covering
from prunelab.budgets.isomorphic import Isomorphic
from prunelab.budgets.knapsack import Knapsack
from prunelab.core.draws import generator
from prunelab.core.errors import Refusal
from prunelab.core.scores import removed
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Gate, Unit


class Prices:
    def __init__(self, prices: dict[str, float]) -> None:
        self.prices = prices

    def cost(self, unit: Unit) -> float:
        return self.prices[unit.path]

    def total(self, component: str) -> float:
        return sum(self.prices.values())


def unit(path: str, elements: int = 1) -> Unit:
    return Unit("denoiser", path, "operator", elements, (), Gate(path, "output"), path)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_no_other_plan_that_meets_the_cost_scores_less(seed: int, share: float) -> None:
    random = generator(seed, 0, "knapsack")
    units = [unit(f"u{i}") for i in range(10)]
    prices = {u.path: float(torch.randint(1, 20, (), generator=random)) for u in units}
    scores = {u.name: torch.rand(1, generator=random, dtype=torch.float64) for u in units}
    plan = Knapsack(slack=0.1).plan(scores, units, Prices(prices), Sparsity(share))
    total, found = sum(prices.values()), [u for u in units if not plan[u.name].item()]

    def fits(chosen: tuple[Unit, ...]) -> bool:
        return share * total <= sum(prices[u.path] for u in chosen) <= (share + 0.1) * total

    subsets = itertools.chain.from_iterable(itertools.combinations(units, k) for k in range(11))
    best = min(sum(float(scores[u.name]) for u in chosen) for chosen in subsets if fits(chosen))
    assert fits(tuple(found))
    assert sum(float(scores[u.name]) for u in found) == pytest.approx(best)


def test_greedy_is_not_always_optimal_but_the_program_is() -> None:
    """Two dear elements are better than three of which the last overshoots."""
    units = [unit("a"), unit("b"), unit("c")]
    scores = {
        units[0].name: torch.tensor([0.1]),
        units[1].name: torch.tensor([0.5]),
        units[2].name: torch.tensor([0.55]),
    }
    plan = Knapsack(slack=0.0).plan(scores, units, Prices({"a": 1.0, "b": 2.0, "c": 5.0}), Sparsity(5 / 8))
    assert [name for name, keep in plan.items() if not keep.item()] == [units[2].name]


def gap_of_many(share: float, size: int) -> float:
    """How far a plan over 100 units lies above the bound on all plans, which sorting gives."""
    random = generator(0, 0, "many")
    units = [unit(f"u{i}", size) for i in range(100)]
    prices = {u.path: float(torch.randint(100, 5000, (), generator=random)) for u in units}
    scores = {u.name: torch.rand(size, generator=random, dtype=torch.float64) for u in units}

    class Many(Prices):
        def total(self, component: str) -> float:
            return size * sum(self.prices.values())

    ledger = Many(prices)
    plan = Knapsack().plan(scores, units, ledger, Sparsity(share))
    each = [(score, prices[u.path]) for u in units for score in scores[u.name].tolist()]
    gone = [pair for pair, kept in zip(each, torch.cat([*plan.values()]).tolist(), strict=True) if not kept]
    assert 0.999999 * share <= sum(price for _, price in gone) / ledger.total("") <= share + 0.005
    bound, left = 0.0, share * ledger.total("")
    for score, price in sorted(each, key=lambda pair: pair[0] / pair[1]):
        bound += score * min(1, left / price)
        left -= min(left, price)
    return sum(score for score, _ in gone) / bound - 1


def test_seventy_thousand_elements_have_a_plan_next_to_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 <= gap_of_many(0.3, 700) <= 1e-4
    assert capsys.readouterr().err == ""


def test_where_the_program_takes_too_long_the_gap_is_said_or_too_large(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covering, "SECONDS", 0.0)
    gap = gap_of_many(0.1, 50)
    assert 1e-4 < gap <= 0.01
    told = f"within {gap / (1 + gap):.2%} of the best"
    assert capsys.readouterr().err == f"knapsack: the plan's score is {told}\n"
    with pytest.raises(Refusal, match=r"no good plan of 5000 elements .*%.*budget\.slack"):
        gap_of_many(0.002, 50)


def test_what_cannot_be_met_is_refused_and_nothing_is_nothing() -> None:
    units = [unit("a")]

    class Rest(Prices):
        def total(self, component: str) -> float:
            return 10.0

    scores = {units[0].name: torch.tensor([1.0])}
    with pytest.raises(Refusal, match=r"at most sparsity=0\.1"):
        Knapsack().plan(scores, units, Rest({"a": 1.0}), Sparsity(0.5))
    assert removed(Knapsack().plan(scores, units, Rest({"a": 1.0}), Sparsity(0.0))) == 0


def test_every_kind_gives_the_same_share() -> None:
    units = [unit(f"block.{i}.attn1") for i in range(4)] + [unit(f"block.{i}.ff") for i in range(4)]
    scores = {u.name: torch.tensor([float(i)]) for i, u in enumerate(units)}
    prices = Prices({u.path: 1.0 if u.path.endswith("attn1") else 3.0 for u in units})
    plan = Isomorphic().plan(scores, units, prices, Sparsity(0.5))
    gone = [u.path for u in units if not plan[u.name].item()]
    assert gone == ["block.0.attn1", "block.1.attn1", "block.0.ff", "block.1.ff"]
    plan = Isomorphic(of="parameters").plan(scores, units, prices, Sparsity(0.3))
    assert (
        removed(plan) == 4
    )  # a quarter of each kind is 4 of 16, half is 8: the first share that reaches 4.8
