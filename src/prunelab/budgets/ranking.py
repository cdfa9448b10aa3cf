"""Ranking elements of unlike costs and taking them, lowest first, until a target cost is reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from prunelab.core.protocols import Ledger
from prunelab.core.scores import Scores
from prunelab.core.units import Unit

Currency = Literal["elements", "parameters", "macs", "latency"]
Rank = Literal["score", "score_per_cost"]
# A last piece may be taken out of turn when it lands this close to the target (share of the component).
CLOSE = 0.005
ROUND_OFF = 1e-9  # of a sum of costs


@dataclass(frozen=True)
class Ranking:
    """The elements of ``units``, lowest key first, ties by unit name and index.

    places: of the ranked elements, counted through the units by name; keys and costs: theirs, float64. All of
    shape (ranked elements,).
    """

    units: Sequence[Unit]
    places: Tensor
    keys: Tensor
    costs: Tensor

    @classmethod
    def of(cls, scores: Scores, units: Sequence[Unit], ledger: Ledger, rank: Rank) -> Self:
        """Every element; under score_per_cost those that cost nothing never go and are left out."""
        by_name = sorted(units, key=lambda unit: unit.name)
        prices = torch.tensor([ledger.cost(unit) for unit in by_name], dtype=torch.float64)
        costs = prices.repeat_interleave(torch.tensor([unit.elements for unit in by_name]))
        keys = torch.cat([scores[unit.name] for unit in by_name]).double()
        keys = keys if rank == "score" else keys / costs
        places = keys.argsort(stable=True)
        places = places if rank == "score" else places[costs[places] > 0]
        return cls(units, places, keys[places], costs[places])

    def take(self, target: float, slack: float) -> dict[str, Tensor]:
        """The plan without the lowest-ranked elements whose cost comes nearest to ``target``.

        Elements go in order until one would overshoot. Then one more may go: the first in order that lands
        within ``slack`` of the target, else the one in turn when overshooting is nearer than stopping.
        """
        spent = self.costs.cumsum(0)
        turn = _first(spent > target + ROUND_OFF)
        gone = torch.arange(len(spent)) < turn
        if turn < len(spent):
            missing = target - (float(spent[turn - 1]) if turn else 0.0)
            gone[turn:] |= _last(self.costs[turn:], missing, slack)
        return self.without(gone)

    def without(self, gone: Tensor) -> dict[str, Tensor]:
        """The plan without those of the ranked elements where ``gone``, bool, is true."""
        by_name = sorted(self.units, key=lambda unit: unit.name)
        kept = torch.ones(sum(unit.elements for unit in by_name), dtype=torch.bool)
        kept[self.places[gone]] = False
        parts = kept.split([unit.elements for unit in by_name])
        plan = {unit.name: part.clone() for unit, part in zip(by_name, parts, strict=True)}
        return {unit.name: plan[unit.name] for unit in self.units}


def _last(rest: Tensor, missing: float, slack: float) -> Tensor:
    """True at the one of ``rest`` that may still go."""
    fits = (missing - rest).abs() <= slack
    piece = _first(fits) if bool(fits.any()) else 0
    nearer = bool(fits.any()) or float(rest[0]) - missing < missing
    return (torch.arange(len(rest)) == piece) & (missing > slack and nearer)


def _first(true: Tensor) -> int:
    """The first place that is true; behind the last where none is."""
    return int(true.int().argmax()) if bool(true.any()) else len(true)
