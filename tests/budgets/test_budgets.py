"""Budgets on small hand-made units, where the right plan can be written down."""

import pytest
import torch
from torch import Tensor

from prunelab.budgets.everywhere import Everywhere
from prunelab.budgets.isomorphic import Isomorphic
from prunelab.budgets.per_component import PerComponent
from prunelab.budgets.ranking import Rank
from prunelab.budgets.uniform import Uniform
from prunelab.core.draws import generator
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Budget
from prunelab.core.scores import check_scores, removed
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Gate, Unit


def unit(name: str, elements: int, component: str = "denoiser") -> Unit:
    return Unit(component, name, "head", elements, (), Gate(name, "input"), name)


class Prices:
    """A ledger with a price per unit; other parameters of the component cannot go."""

    def __init__(self, prices: dict[str, float], rest: float = 0.0) -> None:
        self.prices, self.rest = prices, rest

    def cost(self, unit: Unit) -> float:
        return self.prices[unit.path]

    def total(self, component: str) -> float:
        return self.rest + sum(price * SIZES[name] for name, price in self.prices.items())


SIZES = {"a": 4, "b": 4, "c": 2}
UNITS = [unit(name, size) for name, size in SIZES.items()]
SCORES = {
    UNITS[0].name: torch.tensor([1.0, 2, 3, 4]),
    UNITS[1].name: torch.tensor([0.5, 2, 9, 9]),
    UNITS[2].name: torch.tensor([8.0, 0.7]),
}
ONE = Prices({"a": 1.0, "b": 1.0, "c": 1.0})


def gone(plan: dict[str, Tensor]) -> list[tuple[str, int]]:
    return [(u.path, i) for u in UNITS for i, keep in enumerate(plan[u.name].tolist()) if not keep]


def test_global_takes_the_lowest_of_all() -> None:
    plan = Everywhere().plan(SCORES, UNITS, ONE, Sparsity(0.3))
    assert gone(plan) == [("a", 0), ("b", 0), ("c", 1)]


def test_exactly_int_n_s_elements_go() -> None:
    for share in (0.0, 0.1, 0.29, 0.3, 0.55, 0.99):
        assert removed(Everywhere().plan(SCORES, UNITS, ONE, Sparsity(share))) == int(10 * share + 1e-9)


def test_uniform_takes_the_same_share_of_each() -> None:
    plan = Uniform().plan(SCORES, UNITS, ONE, Sparsity(0.5))
    assert gone(plan) == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 1)]


def test_uniform_to_a_cost_finds_the_common_share() -> None:
    ledger = Prices({"a": 1.0, "b": 2.0, "c": 10.0})
    plan = Uniform(of="parameters").plan(SCORES, UNITS, ledger, Sparsity(0.5))
    assert gone(plan) == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 1)]  # 2 + 4 + 10 of 32


def test_ties_go_by_unit_name_and_index() -> None:
    flat = {u.name: torch.ones(u.elements) for u in UNITS}
    assert gone(Everywhere().plan(flat, UNITS, ONE, Sparsity(0.5))) == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 0),
    ]


def test_score_per_cost_prefers_what_is_dear() -> None:
    ledger = Prices({"a": 1.0, "b": 1.0, "c": 10.0})
    by_score = Everywhere(of="parameters", rank="score").plan(SCORES, UNITS, ledger, Sparsity(0.4))
    by_cost = Everywhere(of="parameters", rank="score_per_cost").plan(SCORES, UNITS, ledger, Sparsity(0.4))
    assert gone(by_score) == [("b", 0), ("c", 1)]
    assert gone(by_cost) == [("b", 0), ("c", 1)]
    assert ("c", 0) in gone(
        Everywhere(of="parameters", rank="score_per_cost").plan(SCORES, UNITS, ledger, Sparsity(0.8))
    )


def test_the_cost_nearest_to_the_target_is_taken() -> None:
    ledger = Prices({"a": 3.0, "b": 3.0, "c": 10.0})  # 44 in all
    for share in (0.1, 0.2, 0.3, 0.5, 0.7):
        plan = Everywhere(of="parameters", rank="score").plan(SCORES, UNITS, ledger, Sparsity(share))
        spent = sum(ledger.prices[name] for name, _ in gone(plan))
        assert abs(spent - share * 44) <= 5.0 + 0.005 * 44  # half of the dearest element, and the slack


def test_a_piece_out_of_turn_may_close_the_gap() -> None:
    ledger = Prices({"a": 1.0, "b": 1.0, "c": 10.0})
    scores = {**SCORES, UNITS[2].name: torch.tensor([0.1, 0.2])}
    plan = Everywhere(of="parameters", rank="score").plan(scores, UNITS, ledger, Sparsity(11 / 28))
    assert gone(plan) == [("b", 0), ("c", 0)]  # c0, then not c1 (too dear) but the lowest that fits


def test_what_the_units_cannot_give_is_refused_with_the_figure() -> None:
    ledger = Prices({"a": 1.0, "b": 1.0, "c": 1.0}, rest=10.0)
    with pytest.raises(Refusal, match=r"50.0%.*at most sparsity=0.5"):
        Everywhere(of="parameters").plan(SCORES, UNITS, ledger, Sparsity(0.6))
    assert removed(Everywhere(of="parameters").plan(SCORES, UNITS, ledger, Sparsity(0.5))) == 10


def test_per_component_sparsity() -> None:
    units = [*UNITS, unit("t", 10, "text_encoder")]
    scores = {**SCORES, units[3].name: torch.arange(10.0)}

    class Each(Prices):
        def total(self, component: str) -> float:
            return 10.0

    ledger = Each({"a": 1.0, "b": 1.0, "c": 1.0, "t": 1.0})
    plan = PerComponent().plan(scores, units, ledger, Sparsity({"text_encoder": 0.5}))
    assert removed(plan) == 5
    assert removed({units[3].name: plan[units[3].name]}) == 5
    with pytest.raises(Refusal, match="unet"):
        PerComponent().plan(scores, units, ledger, Sparsity({"unet": 0.5}))
    with pytest.raises(Refusal, match="budget=per_component"):
        Everywhere().plan(scores, units, ledger, Sparsity({"text_encoder": 0.5}))


def by_the_walk(budget: Everywhere, ledger: Prices, scores: dict[str, Tensor], share: float) -> set[str]:
    """What goes, element by element: in order of key, name and index until the nearest to the target."""
    keyed = []
    for u in UNITS:
        price = ledger.prices[u.path]
        for i, score in enumerate(scores[u.name].tolist()):
            if budget.rank == "score" or price > 0:
                keyed.append((score if budget.rank == "score" else score / price, u.name, i, price))
    total = sum(price * SIZES[name] for name, price in ledger.prices.items())
    gone, left, missing = set(), sorted(keyed), share * total
    while left and left[0][3] <= missing + 1e-9:
        missing -= left[0][3]
        gone.add(left.pop(0))
    slack = 0.005 * total
    fitting = [each for each in left if abs(missing - each[3]) <= slack]
    if left and missing > slack and (fitting or left[0][3] - missing < missing):
        gone.add((fitting or left)[0])
    return {f"{name} {i}" for _, name, i, _ in gone}


@pytest.mark.parametrize("rank", ["score", "score_per_cost"])
@pytest.mark.parametrize("seed", range(5))
def test_costs_are_met_as_by_a_walk_over_the_elements(rank: Rank, seed: int) -> None:
    """Scores with ties, zeros of either sign and a unit that costs nothing."""
    random = generator(seed, 0, "walk")
    budget, ledger = Everywhere("parameters", rank), Prices({"a": 3.0, "b": 0.0, "c": float(1 + 7 * seed)})
    draws = {u.name: torch.randint(-1, 2, (u.elements,), generator=random) for u in UNITS}
    scores = {
        name: drawn * torch.tensor(0.5 * (seed - 1), dtype=torch.float64) for name, drawn in draws.items()
    }
    for share in (0.0, 0.1, 0.3, 0.5, 0.85):
        plan = budget.plan(scores, UNITS, ledger, Sparsity(share))
        removed = {f"{u.name} {i}" for u in UNITS for i, keep in enumerate(plan[u.name].tolist()) if not keep}
        assert removed == by_the_walk(budget, ledger, scores, share)


@pytest.mark.parametrize("budget", [Uniform(), Isomorphic(), PerComponent()])
def test_a_share_of_a_component_that_is_not_there_is_refused(budget: Budget) -> None:
    with pytest.raises(Refusal, match="sparsity names 'denoisr': components with chosen units are denoiser"):
        budget.plan(SCORES, UNITS, ONE, Sparsity({"denoisr": 0.5}))


def test_bad_choices_and_scores_are_refused() -> None:
    with pytest.raises(Refusal, match="elements, parameters, macs"):
        Everywhere(of="flops")
    with pytest.raises(Refusal, match="score_per_cost"):
        Everywhere(rank="cost")
    with pytest.raises(Refusal, match="one element"):
        Uniform().plan({}, [unit("a", 1)], ONE, 0.5)
    with pytest.raises(Refusal, match="NaN"):
        check_scores({**SCORES, UNITS[0].name: torch.tensor([1.0, float("nan"), 3, 4])}, UNITS)
