"""Random scores: the control that every method has to beat under the same budget."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from prunelab.core.draws import generator
from prunelab.core.meanings import ANY, Meaning
from prunelab.core.protocols import Model
from prunelab.core.scores import Scores
from prunelab.core.settings import Seed, settings
from prunelab.core.units import Unit


@settings
class Random:
    """Uniform scores in [0, 1), drawn per unit from ``(seed, unit name)``."""

    means: ClassVar[Meaning] = ANY
    control: ClassVar[bool] = True  # any method has to beat it

    seed: Seed = 0

    def score(self, model: Model, units: Sequence[Unit]) -> Scores:
        """Scores that look neither at the weights nor at data; drawn whenever they are read."""
        return Drawn(self.seed, {unit.name: unit.elements for unit in units})


class Drawn(Mapping[str, Tensor]):
    """Unit name -> its random scores. None is held: a model's single weights are hundreds of millions."""

    def __init__(self, seed: int, elements: Mapping[str, int]) -> None:
        self.seed, self.elements = seed, elements

    def __getitem__(self, name: str) -> Tensor:
        own = generator(self.seed, 0, f"random scores of {name}")
        return torch.rand(self.elements[name], dtype=torch.float64, generator=own)

    def __iter__(self) -> Iterator[str]:
        return iter(self.elements)

    def __len__(self) -> int:
        return len(self.elements)
