"""Randomness that belongs to the draw.

Everything random about draw ``i`` (its noise, its timestep, its starting latent) depends on
``(seed, i, purpose)`` alone and is drawn on the CPU, so neither the number of ranks nor the order of
work nor a restart can change it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor


def generator(seed: int, draw: int, purpose: str) -> torch.Generator:
    """A CPU generator for draw number ``draw``; other purposes and seeds are independent of it."""
    digest = hashlib.sha256(f"{purpose}/{seed}/{draw}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def normal(
    shape: Sequence[int], seed: int, draws: Iterable[int], purpose: str, device: torch.device | None = None
) -> Tensor:
    """Standard normal noise of shape ``(len(draws), *shape)``, float32, one generator per draw.

    Drawn on the CPU like everything, and then brought to ``device``.
    """
    rows = [torch.randn(*shape, generator=generator(seed, i, purpose)) for i in draws]
    return torch.stack(rows).to(device)


def integers(
    high: int, seed: int, draws: Iterable[int], purpose: str, device: torch.device | None = None
) -> Tensor:
    """Uniform integers in ``[0, high)`` of shape ``(len(draws),)``, int64, on ``device``."""
    rows = [torch.randint(high, (1,), generator=generator(seed, i, purpose)) for i in draws]
    return torch.cat(rows).to(device)


def order(size: int, seed: int, epoch: int, purpose: str) -> Tensor:
    """A permutation of ``range(size)``, int64: the order in which an epoch visits a data set."""
    return torch.randperm(size, generator=generator(seed, epoch, purpose))


def visits(draws: range, size: int, seed: int, purpose: str) -> Tensor:
    """The items (int64, one per draw) that these draws see: every epoch is another permutation."""
    return torch.stack([_epoch(size, seed, draw // size, purpose)[draw % size] for draw in draws])


@lru_cache(maxsize=4)
def _epoch(size: int, seed: int, epoch: int, purpose: str) -> Tensor:
    return order(size, seed, epoch, purpose)
