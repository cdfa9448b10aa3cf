"""Progressive distillation: a student that takes one step of the sampler where its teacher takes two.

Salimans and Ho (2022, arXiv 2202.00512), Algorithm 2, with deterministic DDIM steps and their "SNR + 1"
weighting, which is the plain squared error of the velocity. A guided teacher may be distilled along: its
guidance becomes part of the student (Meng et al. 2023, arXiv 2210.03142, here at one fixed weight).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunelab.core.draws import integers, normal, visits


@dataclass(frozen=True)
class Bank:
    """Examples: latents (n, ...), conditions (n, tokens, width); the empty prompt (1, tokens, width)."""

    latents: Tensor
    conditions: Tensor
    empty: Tensor


class StepHalving:
    """Train ``student`` for half as many steps of the sampler as its ``teacher`` takes.

    Both are U-Nets that predict velocity. alphas: the scheduler's cumulative products, (timesteps,).
    grid: the teacher's timesteps, descending, an even number. guidance: of the teacher; 1 for none.
    """

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        alphas: Tensor,
        grid: Sequence[int],
        bank: Bank,
        guidance: float,
        seed: int,
    ) -> None:
        self.teacher, self.trained = teacher.requires_grad_(False), student.requires_grad_(True)
        self.frozen = (teacher,)
        self.alphas = torch.cat([alphas, alphas.new_ones(1)])  # index -1: no noise is left
        self.grid = torch.tensor([*grid, -1])
        self.bank, self.guidance, self.seed = bank, guidance, seed

    def batch(self, draws: range) -> dict[str, Tensor]:
        """Latents, conditions, noise, and which of the student's steps is taken."""
        items = visits(draws, len(self.bank.latents), self.seed, "step halving")
        return {
            "latents": self.bank.latents[items],
            "conditions": self.bank.conditions[items],
            "noise": normal(self.bank.latents.shape[1:], self.seed, draws, "step halving noise"),
            "step": integers(len(self.grid) // 2, self.seed, draws, "step halving step"),
        }

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss, which has no parts."""
        start, middle, end = (self.grid.to(batch["step"].device)[2 * batch["step"] + i] for i in range(3))
        signal, sigma = self._levels(start)
        noisy = signal * batch["latents"] + sigma * batch["noise"]
        with torch.no_grad():
            halfway = self._step(noisy, start, middle, batch["conditions"])
            reached = self._step(halfway, middle, end, batch["conditions"])
        wanted = self.velocity(noisy, reached, start, end)
        model: Any = self.trained
        found = model(noisy, start, encoder_hidden_states=batch["conditions"]).sample
        return {"loss": (found - wanted).pow(2).mean()}

    def velocity(self, noisy: Tensor, reached: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """The velocity that takes ``noisy`` at ``start`` to ``reached`` at ``end`` in one DDIM step."""
        (signal, sigma), (later, left) = self._levels(start), self._levels(end)
        clean = (reached - left / sigma * noisy) / (later - left / sigma * signal)
        return (signal * noisy - clean) / sigma

    def _step(self, current: Tensor, now: Tensor, then: Tensor, conditions: Tensor) -> Tensor:
        """One DDIM step of the teacher."""
        (signal, sigma), (later, left) = self._levels(now), self._levels(then)
        velocity = self._guided(current, now, conditions)
        return later * (signal * current - sigma * velocity) + left * (sigma * current + signal * velocity)

    def _guided(self, current: Tensor, now: Tensor, conditions: Tensor) -> Tensor:
        held: Tensor = self.teacher(current, now, encoder_hidden_states=conditions).sample
        if self.guidance == 1.0:
            return held
        empty = self.bank.empty.to(current.device).expand(len(current), -1, -1)
        free: Tensor = self.teacher(current, now, encoder_hidden_states=empty).sample
        return free + self.guidance * (held - free)

    def _levels(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise levels of shape (batch, 1, 1, 1)."""
        alphas = self.alphas.to(timesteps.device)[timesteps][:, None, None, None]
        return alphas.sqrt(), (1 - alphas).sqrt()
