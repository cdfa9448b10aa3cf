"""In which order a training visits a data set."""

from functools import lru_cache

import torch
from torch import Tensor

from prunelab.core.draws import order


def visits(draws: range, size: int, seed: int, purpose: str) -> Tensor:
    """The items (int64, one per draw) that these draws see: every epoch is another permutation."""
    return torch.stack([_epoch(size, seed, draw // size, purpose)[draw % size] for draw in draws])


@lru_cache(maxsize=4)
def _epoch(size: int, seed: int, epoch: int, purpose: str) -> Tensor:
    return order(size, seed, epoch, purpose)
