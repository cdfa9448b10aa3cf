"""Training a latent diffusion U-Net together with the text encoder that steers it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from prunelab.core.draws import generator, visits
from prunelab.pretraining.unconditional import Unconditional


class Denoising(Unconditional):
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
        trained = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
        super().__init__(trained, scheduler, latents, seed)
        self.tokens, self.unconditional, self.drop = tokens, unconditional, drop

    def batch(self, draws: range) -> dict[str, Tensor]:
        """Latents, noise, time steps and tokens, some of them dropped."""
        items = visits(draws, len(self.latents), self.seed, "denoiser")
        chance = torch.cat([torch.rand(1, generator=generator(self.seed, i, "drop")) for i in draws])
        tokens = torch.where(chance[:, None] < self.drop, self.unconditional, self.tokens[items])
        return {**super().batch(draws), "tokens": tokens}

    def predicted(self, noisy: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """What the U-Net makes of noisy latents and the encoded tokens."""
        model: Any = self.trained
        text = model["text_encoder"](batch["tokens"]).last_hidden_state
        predicted: Tensor = model["unet"](noisy, batch["timesteps"], encoder_hidden_states=text).sample
        return predicted
