"""Training a latent diffusion U-Net together with the text encoder that steers it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunelab.core.draws import generator, integers, normal, visits


class Denoising:
    """Squared error of the v-prediction (Salimans and Ho 2022) at a uniform time step.

    unet: a diffusers UNet2DConditionModel. text_encoder: a transformers CLIPTextModel.
    scheduler: gives the noise levels; its prediction type must be v_prediction.
    latents: float32, (n, channels, height, width), scaled to about unit variance.
    tokens: int64, (n, length): the captions. unconditional: int64, (length,): the empty caption, which takes
    a caption's place with probability ``drop`` so that guidance has something to start from.
    """

    def __init__(
        self,
        unet: nn.Module,
        text_encoder: nn.Module,
        scheduler: Any,
        latents: Tensor,
        tokens: Tensor,
        unconditional: Tensor,
        seed: int,
        drop: float,
    ) -> None:
        self.trained: nn.Module = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
        self.scheduler, self.latents, self.tokens = scheduler, latents, tokens
        self.unconditional, self.seed, self.drop = unconditional, seed, drop

    def batch(self, draws: range) -> dict[str, Tensor]:
        """Latents, noise, time steps and tokens, some of them dropped."""
        items = visits(draws, len(self.latents), self.seed, "denoiser")
        chance = torch.cat([torch.rand(1, generator=generator(self.seed, i, "drop")) for i in draws])
        steps = self.scheduler.config.num_train_timesteps
        return {
            "latents": self.latents[items],
            "tokens": torch.where(chance[:, None] < self.drop, self.unconditional, self.tokens[items]),
            "noise": normal(self.latents.shape[1:], self.seed, draws, "denoiser noise"),
            "timesteps": integers(steps, self.seed, draws, "denoiser timestep"),
        }

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss, which has no parts."""
        latents, noise, timesteps = batch["latents"], batch["noise"], batch["timesteps"]
        model: Any = self.trained
        text = model["text_encoder"](batch["tokens"]).last_hidden_state
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        predicted = model["unet"](noisy, timesteps, encoder_hidden_states=text).sample
        return {"loss": F.mse_loss(predicted, self.scheduler.get_velocity(latents, noise, timesteps))}
