"""Text-to-image latent diffusion as diffusers' ``StableDiffusionPipeline`` lays it out.

Components: ``denoiser`` (the pipeline's ``unet``), ``text_encoder`` and ``vae``. Prediction type,
conditioning and the latents' scaling live behind this class; scorers and recoveries never see them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.protocols import SamplingOptions
from prunelab.core.settings import Place, Text, Weights
from prunelab.models.architectures import (
    Architecture,
    architecture_hash,
    build_stable_diffusion,
    without_folder,
    without_weights,
)
from prunelab.models.diffusers_model import DiffusersModel, check_weights
from prunelab.models.process import trajectory


class StableDiffusion(DiffusersModel):
    """A text-to-image model: latents (batch, channels, h, w), conditions (batch, tokens, width)."""

    prompted = True
    attributes: ClassVar = {"denoiser": "unet", "text_encoder": "text_encoder", "vae": "vae"}
    layout: ClassVar = "a Stable Diffusion folder"

    def __init__(self, name: str, pipeline: DiffusionPipeline, fingerprint: str) -> None:
        super().__init__(name, pipeline, fingerprint)
        self._scale: float = pipeline.vae.config.scaling_factor
        self._shift: float = pipeline.vae.config.shift_factor or 0.0

    @classmethod
    def open(
        cls,
        name: Text,
        path: Place | None = None,
        weights: Weights = "pretrained",
        embedded: Text | None = None,
        architecture: Architecture | None = None,
    ) -> "StableDiffusion":
        """As ``open_folder``; random weights of a published ``architecture`` need no folder.

        Such a model has no tokenizer. Raises Refusal as ``open_folder`` does, and for an architecture without
        a folder unless weights are random.
        """
        check_weights(weights)
        if architecture is None or path is not None:
            return cls.open_folder(name, path, weights, embedded)
        if weights != "random":
            raise Refusal(without_weights(name))
        return cls(name, build_stable_diffusion(architecture), architecture_hash(architecture))

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero inputs of one forward pass at the model's own resolution and prompt length."""
        device = self.device(component)
        tokens = self.pipeline.text_encoder.config.max_position_embeddings
        latents = torch.zeros(batch, *self.latent_shape, device=device)
        if component == "text_encoder":
            return {"input_ids": torch.zeros(batch, tokens, dtype=torch.long, device=device)}
        if component == "vae":
            side = self.latent_shape[-1] * 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)
            return {
                "sample": torch.zeros(batch, self.pipeline.vae.config.in_channels, side, side, device=device)
            }
        width = self.pipeline.unet.config.cross_attention_dim
        context = torch.zeros(batch, tokens, width, device=device)
        return {
            "sample": latents,
            "timestep": torch.zeros(batch, dtype=torch.long, device=device),
            "encoder_hidden_states": context,
        }

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Prompts to conditions of shape (batch, tokens, width), padded to the tokenizer's length."""
        encoder = self.components["text_encoder"]
        device = next(encoder.parameters()).device
        states: Tensor = encoder(self._tokens(prompts).input_ids.to(device))[0]
        return states

    def real_tokens(self, prompts: Sequence[str]) -> Tensor:
        """True where ``embed`` reads a token of the prompt, False at padding: bool (batch, tokens)."""
        mask: Tensor = self._tokens(prompts).attention_mask.bool()
        return mask

    def _tokens(self, prompts: Sequence[str]) -> Any:
        tokenizer = self._tokenizer()
        return tokenizer(
            list(prompts),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )

    def _tokenizer(self) -> Any:
        if self.pipeline.tokenizer is None:
            raise Refusal(without_folder(self.name))
        return self.pipeline.tokenizer

    def encode(self, media: Tensor) -> Tensor:
        """uint8 images (batch, 3, H, W) to scaled latents: the posterior's mean, so that nothing is drawn."""
        posterior = self.pipeline.vae.encode(media.float() / 127.5 - 1).latent_dist
        latents: Tensor = (posterior.mean - self._shift) * self._scale
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents to images (batch, 3, H, W) in [0, 1]."""
        images = self.pipeline.vae.decode(latents / self._scale + self._shift).sample
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
            raise ValueError("a text-to-image model samples under conditions")
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

    def save(self, folder: Path) -> None:
        """As every model does; refused where there is no tokenizer, as the folder could not be used."""
        self._tokenizer()
        super().save(folder)
