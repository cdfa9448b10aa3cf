"""Unconditional diffusion: a ``UNet2DModel`` that nothing conditions, sampled by DDIM (eta 0)."""

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.protocols import SamplingOptions
from prunelab.models.diffusers_model import DiffusersModel
from prunelab.models.process import trajectory


class Unconditional(DiffusersModel):
    """A model without prompts, so conditions are None and there is nothing to guide."""

    prompted = False

    def __init__(self, name: str, pipeline: DiffusionPipeline, fingerprint: str) -> None:
        super().__init__(name, pipeline, fingerprint)
        self._sampler = DDIMScheduler.from_config(pipeline.scheduler.config)

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero latents and timesteps."""
        device = self.device(component)
        return {
            "sample": torch.zeros(batch, *self.latent_shape, device=device),
            "timestep": torch.zeros(batch, dtype=torch.long, device=device),
        }

    def embed(self, prompts: Sequence[str]) -> None:
        """None: nothing conditions this model."""

    def real_tokens(self, prompts: Sequence[str]) -> Tensor:
        """Refuses: there are no tokens."""
        raise Refusal(f"{self.name} is unconditional and reads no prompts: use a text-to-image model")

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Tensor | None) -> Tensor:
        """The U-Net's output: noise, velocity or sample, as the scheduler's prediction type says."""
        output: Tensor = self.components["denoiser"](noisy, timesteps).sample
        return output

    def sample(
        self,
        conditions: Tensor | None,
        latents: Tensor,
        steps: int,
        guidance: float,
        **options: Unpack[SamplingOptions],
    ) -> Tensor:
        """Latents after every DDIM step, shape (steps or 1, batch, ...); ``guidance`` changes nothing."""
        return trajectory(self._sampler, lambda x, t: self.predict(x, t, None), latents, steps, **options)
