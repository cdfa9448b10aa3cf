"""Random scores: the control that every method has to beat under the same budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from prunelab.core.draws import generator
from prunelab.core.protocols import Model
from prunelab.core.scores import Scores
from prunelab.core.units import Unit


@dataclass(frozen=True)
class Random:
    """Uniform scores in [0, 1), drawn per unit from ``(seed, unit name)``."""

    granularities: ClassVar[tuple[str, ...]] = (
        "operator",
        "block",
        "head",
        "neuron",
        "channel",
        "norm_group",
    )

    seed: int = 0

    def score(self, model: Model, units: Sequence[Unit]) -> Scores:
        """Scores that look neither at the weights nor at data."""
        return {
            unit.name: torch.rand(
                unit.elements,
                dtype=torch.float64,
                generator=generator(self.seed, 0, f"random scores of {unit.name}"),
            )
            for unit in units
        }
