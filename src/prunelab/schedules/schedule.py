"""The schedule of one training, of pretraining, of learned gates or of a recovery."""

import math
from functools import partial
from typing import Any, Literal

import torch

from prunelab.core.extra import extra
from prunelab.core.settings import (
    Betas,
    Count,
    Decay,
    NonNegative,
    NonNegativeCount,
    Positive,
    Runtime,
    settings,
)


@settings(known_as="prunelab.engine.optimise.Schedule")
class Schedule:
    """The settings of one training that decide its result (``checkpoint_every`` apart).

    steps: optimiser steps. batch_size: draws per step over all ranks. warmup: steps of linear warm-up.
    decay: "cosine" (to zero at the last step) or "constant". clip: largest gradient norm, None for no limit.
    ema: decay per step of the weight average that replaces the weights at the end, None for no average.
    optimiser: "adamw", "adamw_fused" in one kernel for all weights, which differs by round-off, or
    "adamw_8bit" with its state in 8 bits (Dettmers et al. 2022, of bitsandbytes).
    """

    steps: Count
    batch_size: Count
    learning_rate: Positive
    weight_decay: NonNegative = 0.0
    betas: Betas = (0.9, 0.999)
    warmup: NonNegativeCount = 0
    decay: Literal["cosine", "constant"] = "cosine"
    clip: Positive | None = 1.0
    ema: Decay | None = None
    optimiser: Literal["adamw", "adamw_fused", "adamw_8bit"] = "adamw"
    checkpoint_every: Runtime[Count] = 100

    def __post_init__(self) -> None:
        """Refuse an optimiser that is not installed."""
        kind(self.optimiser)

    def factor(self, step: int) -> float:
        """The learning rate of step ``step`` (from 0), as a fraction of ``learning_rate``."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.decay == "constant":
            return 1.0
        return 0.5 + 0.5 * math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup))


def kind(name: str, small: bool = False) -> Any:
    """The class of an optimiser; refuses one that is not installed.

    small: whether its tensors are so small that AdamW takes them by lists, which changes no bit; otherwise it
    is as torch has it: by lists on a GPU, and on a CPU one by one, so that each is still in the cache.
    """
    if name == "adamw":
        return partial(torch.optim.AdamW, foreach=True) if small else torch.optim.AdamW
    if name == "adamw_fused":
        return partial(torch.optim.AdamW, fused=True)
    return extra("bitsandbytes", "schedule.optimiser=adamw_8bit", "eight-bit").optim.AdamW8bit
