"""Scores and plans: arrays of a unit's shape.

``Scores``: unit name -> float64 of shape ``(elements,)``, higher = keep. Taken on the dense model, and
independent of how many elements go. ``Plan``: unit name -> bool of shape ``(elements,)``, True = keep,
in the coordinates of the model that the units are of.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.units import Unit

Scores = Mapping[str, Tensor]
Plan = Mapping[str, Tensor]


def check_scores(scores: Scores, units: Sequence[Unit]) -> None:
    """Refuse scores that no budget can rank: a missing unit, a wrong shape, a value that is no number."""
    for unit in units:
        if unit.name not in scores:
            raise Refusal(f"the scores hold nothing for unit {unit.name}: score again with this granularity")
        values = scores[unit.name]
        if values.shape != (unit.elements,):
            raise Refusal(f"scores of {unit.name} have shape {tuple(values.shape)}, not ({unit.elements},)")
        if not torch.isfinite(values).all():
            bad = int((~torch.isfinite(values)).sum())
            raise Refusal(
                f"{bad} of {unit.elements} scores of {unit.name} are not finite (NaN or infinite): "
                "check the model's weights and the calibration data; no plan was made"
            )


def keep_all(units: Sequence[Unit]) -> dict[str, Tensor]:
    """The plan that removes nothing."""
    return {unit.name: torch.ones(unit.elements, dtype=torch.bool) for unit in units}


def removed(plan: Plan) -> int:
    """How many elements a plan removes."""
    return sum(int((~keep).sum()) for keep in plan.values())
