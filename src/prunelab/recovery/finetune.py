"""Fine-tuning: the model's own objective on its own data (the recovery of Diff-Pruning)."""

from dataclasses import replace

import torch
from torch import Tensor

from prunelab.core.prices import Price
from prunelab.core.protocols import Conditions, Model
from prunelab.core.settings import Fraction, settings
from prunelab.recovery.training_draws import Batch, Draws


@settings
class Finetune:
    """``drop``: share of prompts left empty. antithetic: timesteps come in pairs t and T - 1 - t.

    The schedule is the training engine's.
    """

    drop: Fraction = 0.1
    antithetic: bool = False

    def price(self, draws: int, batch: int) -> Price:
        """One pass of every draw."""
        return Price(draws, draws, batch)

    def objective(self, student: Model, teacher: Model, draws: Draws) -> "DenoisingObjective":
        """What is minimised; the teacher is not used."""
        return DenoisingObjective(student, replace(draws, antithetic=self.antithetic))


class DenoisingObjective:
    """Mean squared error of the denoiser's output to the model's own target."""

    called = True  # the denoiser as a whole: its weights may be shared out over ranks

    def __init__(self, student: Model, draws: Draws) -> None:
        self.student, self.draws = student, draws
        self.trained = student.components["denoiser"].requires_grad_(True)
        self.frozen: tuple[Model, ...] = (student,)  # its other components

    def batch(self, draws: range) -> Batch:
        """The batch of these draws, on the CPU."""
        return self.draws.batch(draws)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The loss as a mean over the batch, under ``loss``."""
        noisy, timesteps, conditions, wanted = self.inputs(batch)
        output = self.student.predict(noisy, timesteps, conditions)
        return {"loss": (output - wanted).pow(2).mean()}

    @torch.no_grad()
    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor, Conditions | None, Tensor]:
        """Noisy latents, timesteps, conditions and the target, where the batch is."""
        latents, prompts, timesteps, noise = batch
        conditions = None if prompts is None else self.student.embed(prompts)
        noisy = self.student.noised(latents, timesteps, noise)
        return noisy, timesteps, conditions, self.student.target(latents, timesteps, noise)
