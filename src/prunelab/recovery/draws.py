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
    shuffled anew for every pass; ``drop`` is the share of prompts left empty, for guidance.
    """

    latents: Tensor
    prompts: list[str] | None
    timesteps: int
    drop: float
    seed: int

    def batch(self, draws: range) -> Batch:
        """The batch of these draws, on the CPU."""
        index = visits(draws, len(self.latents), self.seed, "recovery order").tolist()
        latents = self.latents[index]
        return Batch(
            latents=latents,
            prompts=None
            if self.prompts is None
            else [self._prompt(i, k) for i, k in zip(draws, index, strict=True)],
            timesteps=integers(self.timesteps, self.seed, draws, "recovery timestep"),
            noise=normal(latents.shape[1:], self.seed, draws, "recovery noise"),
        )

    def _prompt(self, draw: int, index: int) -> str:
        assert self.prompts is not None
        dropped = torch.rand((), generator=generator(self.seed, draw, "recovery prompt")) < self.drop
        return "" if dropped else self.prompts[index]
