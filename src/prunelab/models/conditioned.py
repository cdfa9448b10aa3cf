"""Latent diffusion that is told what to draw: a ``UNet2DConditionModel`` that attends to conditions."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Unpack

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from prunelab.core.protocols import SamplingOptions
from prunelab.models.autoencoders import encoded
from prunelab.models.diffusers_model import DiffusersModel
from prunelab.models.process import trajectory


class Conditioned(DiffusersModel):
    """Latents (batch, channels, h, w) under conditions (batch, tokens, width).

    The empty prompt is what guidance starts from. Components: ``denoiser``, ``vae``, and what reads prompts.
    """

    prompted = True

    def __init__(self, name: str, pipeline: DiffusionPipeline, fingerprint: str) -> None:
        super().__init__(name, pipeline, fingerprint)
        self.autoencoder: Any = self.components["vae"]
        config: Any = self.autoencoder.config
        self._scale: float = config.scaling_factor
        self._shift: float = getattr(config, "shift_factor", None) or 0.0  # a VQModel has none

    @abstractmethod
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Conditions of the prompts, (batch, tokens, width)."""

    @property
    @abstractmethod
    def condition_shape(self) -> tuple[int, int]:
        """Tokens of the conditions and their width."""

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero inputs of one forward pass at the model's own resolution."""
        device = self.device(component)
        if component == "vae":
            config = self.autoencoder.config
            finer = 2 ** (len(config.block_out_channels) - 1)
            sides = (side * finer for side in self.latent_shape[1:])
            return {"sample": torch.zeros(batch, config.in_channels, *sides, device=device)}
        return {
            "sample": torch.zeros(batch, *self.latent_shape, device=device),
            "timestep": torch.zeros(batch, dtype=torch.long, device=device),
            "encoder_hidden_states": torch.zeros(batch, *self.condition_shape, device=device),
        }

    def encode(self, media: Tensor) -> Tensor:
        """uint8 images (batch, 3, H, W) to scaled latents."""
        return (encoded(self.autoencoder, media.float() / 127.5 - 1) - self._shift) * self._scale

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents to images (batch, 3, H, W) in [0, 1]."""
        images = self.autoencoder.decode(latents / self._scale + self._shift).sample
        return (images / 2 + 0.5).clamp(0, 1)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Tensor | None) -> Tensor:
        """The U-Net's output: noise, velocity or sample, as the scheduler's prediction type says."""
        output: Tensor = self.components["denoiser"](
            noisy, timesteps, encoder_hidden_states=conditions
        ).sample
        return output

    def sample(
        self,
        conditions: Tensor | None,
        latents: Tensor,
        steps: int,
        guidance: float,
        **options: Unpack[SamplingOptions],
    ) -> Tensor:
        """Latents after every step, shape (steps or 1, batch, ...); guidance 1 needs no empty prompt."""
        if conditions is None:
            raise ValueError("a conditioned model samples under conditions")
        if guidance == 1.0:

            def held(noisy: Tensor, timesteps: Tensor) -> Tensor:
                return self.predict(noisy, timesteps, conditions)

            return trajectory(self.pipeline.scheduler, held, latents, steps, **options)
        empty = self.embed([""]).expand(len(conditions), -1, -1)
        both = torch.cat([empty, conditions])

        def guided(noisy: Tensor, timesteps: Tensor) -> Tensor:
            free, held = self.predict(noisy.repeat(2, 1, 1, 1), timesteps.repeat(2), both).chunk(2)
            return free + guidance * (held - free)

        return trajectory(self.pipeline.scheduler, guided, latents, steps, **options)
