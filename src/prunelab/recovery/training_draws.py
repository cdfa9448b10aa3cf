"""What recovery trains on: latents, prompts, timesteps and noise, each a function of the draw's number."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from prunelab.core.draws import generator, integers, normal, visits


class Batch(NamedTuple):
    """latents (b, ...), prompts of length b (None = unconditional), timesteps (b,), noise like latents."""

    latents: Tensor
    prompts: list[str] | None
    timesteps: Tensor
    noise: Tensor


@dataclass(frozen=True)
class Draws:
    """Draws from a bank of encoded training data.

    latents: (size, ...), float32; prompts: one per latent or None. Draw i visits the bank in an order
    shuffled anew for every pass; ``drop`` is the share of prompts left empty, for guidance. antithetic: every
    second draw has the timestep T - 1 - t of the one before it (Ho et al. 2020's code, and Diff-Pruning's).
    """

    latents: Tensor
    prompts: list[str] | None
    timesteps: int
    drop: float
    seed: int
    antithetic: bool = False

    def batch(self, draws: range) -> Batch:
        """The batch of these draws, on the CPU."""
        index = visits(draws, len(self.latents), self.seed, "recovery order").tolist()
        latents = self.latents[index]
        return Batch(
            latents=latents,
            prompts=None
            if self.prompts is None
            else [self._prompt(i, k) for i, k in zip(draws, index, strict=True)],
            timesteps=self._timesteps(draws),
            noise=normal(latents.shape[1:], self.seed, draws, "recovery noise"),
        )

    def _timesteps(self, draws: range) -> Tensor:
        if not self.antithetic:
            return integers(self.timesteps, self.seed, draws, "recovery timestep")
        firsts = [draw - draw % 2 for draw in draws]
        drawn = integers(self.timesteps, self.seed, firsts, "recovery timestep")
        second = torch.tensor([draw % 2 for draw in draws], dtype=torch.bool)
        return torch.where(second, self.timesteps - 1 - drawn, drawn)

    def _prompt(self, draw: int, index: int) -> str:
        assert self.prompts is not None
        dropped = torch.rand((), generator=generator(self.seed, draw, "recovery prompt")) < self.drop
        return "" if dropped else self.prompts[index]
