"""Units of one kind compete with each other only."""

import pytest
import torch

from prunelab.budgets.per_granularity import PerGranularity
from prunelab.core.errors import Refusal
from prunelab.core.scores import removed
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Gate, Unit


def unit(path: str, granularity: str, elements: int, component: str = "denoiser") -> Unit:
    return Unit(component, path, granularity, elements, (), Gate(path, "input"), path)


UNITS = [unit("a", "head", 3), unit("b", "head", 2, "text_encoder"), unit("c", "neuron", 10)]
SCORES = {
    UNITS[0].name: torch.tensor([0.5, -3.0, 0.1]),
    UNITS[1].name: torch.tensor([0.2, 9.0]),
    UNITS[2].name: torch.arange(10.0) - 100,  # all below any head
}


class Free:
    """A ledger that no count of elements needs."""

    def cost(self, unit: Unit) -> float:
        return 0.0

    def total(self, component: str) -> float:
        return 0.0


def gone(sparsity: float | dict[str, float]) -> dict[str, list[int]]:
    plan = PerGranularity().plan(SCORES, UNITS, Free(), Sparsity(sparsity))
    return {each.path: (~plan[each.name]).nonzero().flatten().tolist() for each in UNITS}


def test_each_kind_loses_the_same_share() -> None:
    assert gone(0.4) == {"a": [1, 2], "b": [], "c": [0, 1, 2, 3]}
    assert gone(0.6) == {"a": [1, 2], "b": [0], "c": [0, 1, 2, 3, 4, 5]}


def test_a_share_per_kind() -> None:
    assert gone({"head": 0.2, "neuron": 0.5}) == {"a": [1], "b": [], "c": [0, 1, 2, 3, 4]}
    assert gone({"neuron": 0.1}) == {"a": [], "b": [], "c": [0]}


def test_sparsity_0_keeps_all() -> None:
    assert removed(PerGranularity().plan(SCORES, UNITS, Free(), Sparsity(0.0))) == 0


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(Refusal, match="'denoiser': the chosen granularities are head, neuron"):
        gone({"denoiser": 0.5})
    with pytest.raises(Refusal, match="budget=global"):
        PerGranularity(of="parameters")
    with pytest.raises(Refusal, match=r"\[0, 1\)"):
        gone(1.0)
