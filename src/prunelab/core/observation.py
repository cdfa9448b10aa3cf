"""Observations: forward passes that leave the weights alone, said as rows for the engine to share out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from prunelab.core.protocols import Model

EARLY = "first half: "  # before the names of sums over the first half of the samples alone


@dataclass(frozen=True)
class Observation:
    """How many rows there are to look at, and what one batch of them gives.

    model: what is looked at; the engine has it where it observes.
    rows: each a function of its number alone. batch_size: how many are seen at once, in their order, which
    decides the result to round-off.
    observe: what these rows give on this device, with gradients off: statistics that are added up over the
    batches, or tensors with one entry per row that are put behind each other. A statistic of a few elements
    among many may be sparse along its first dimension (``torch.sparse_coo_tensor``); a batch may lack one.
    start: the number of the first row. cut: the row where a batch begins that is the first of the second
    half; sums of the batches before it are kept beside the whole ones, ``EARLY`` before their names. 0: none.
    """

    model: "Model"
    rows: int
    batch_size: int
    observe: Callable[[range, torch.device], Mapping[str, Tensor]]
    start: int = 0
    cut: int = 0

    @property
    def batches(self) -> list[range]:
        """The rows of each batch, the last of which may be smaller."""
        end = self.start + self.rows
        starts = range(self.start, end, self.batch_size)
        return [range(start, min(start + self.batch_size, end)) for start in starts]


class Sums(dict[str, Tensor]):
    """Statistics of one batch by name, for hooks to add to."""

    def add(self, name: str, value: Tensor) -> None:
        """Add to what there is under ``name``."""
        self[name] = self[name] + value if name in self else value
