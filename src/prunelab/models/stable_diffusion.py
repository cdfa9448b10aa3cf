"""Text-to-image latent diffusion as diffusers' ``StableDiffusionPipeline`` lays it out.

Components: ``denoiser`` (the pipeline's ``unet``), ``text_encoder`` and ``vae``. Prediction type,
conditioning and the latents' scaling live behind this class; scorers and recoveries never see them.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.protocols import SamplingOptions
from prunelab.core.units import Unit
from prunelab.models.architectures import Architecture, architecture_hash, build_stable_diffusion
from prunelab.models.folders import content_hash, locate, open_random
from prunelab.models.process import noised, target, trajectory
from prunelab.models.units import units_of
from prunelab.surgery.opening import open_pipeline
from prunelab.surgery.saving import save_pipeline

ATTRIBUTES = {"denoiser": "unet", "text_encoder": "text_encoder", "vae": "vae"}


class StableDiffusion:
    """A text-to-image model: latents (batch, channels, h, w), conditions (batch, tokens, width)."""

    def __init__(self, name: str, pipeline: DiffusionPipeline, fingerprint: str) -> None:
        self.name = name
        self.pipeline = pipeline
        self._fingerprint = fingerprint
        unet: UNet2DConditionModel = pipeline.unet
        vae: AutoencoderKL = pipeline.vae
        size = unet.config.sample_size
        self.components: dict[str, nn.Module] = {
            key: getattr(pipeline, name) for key, name in ATTRIBUTES.items()
        }
        for component in self.components.values():
            component.eval().requires_grad_(False)
        self.latent_shape = (unet.config.in_channels, size, size)
        self.timesteps: int = pipeline.scheduler.config.num_train_timesteps
        self._scale: float = vae.config.scaling_factor
        self._shift: float = vae.config.shift_factor or 0.0

    @classmethod
    def open(
        cls,
        name: str,
        path: str | None = None,
        weights: str = "pretrained",
        embedded: str | None = None,
        architecture: Architecture | None = None,
    ) -> "StableDiffusion":
        """Open the folder ``path``, else the ``embedded`` one; random weights need its configs only.

        Random weights of a published ``architecture`` need no folder; such a model has no tokenizer.
        Raises Refusal for a missing or broken folder, another kind of pipeline, or unknown ``weights``.
        """
        if weights not in ("pretrained", "random"):
            raise Refusal(f"unknown weights {weights!r}: choose from pretrained, random")
        if architecture is not None and path is None:
            if weights != "random":
                raise Refusal(
                    f"{name} comes without weights: give path=FOLDER of its diffusers pipeline, or "
                    "weights=random to plan on its architecture"
                )
            return cls(name, build_stable_diffusion(architecture), architecture_hash(architecture))
        folder = locate(path, embedded)
        pipeline = open_random(folder) if weights == "random" else open_pipeline(folder)
        missing = [
            attribute for attribute in ("unet", "text_encoder", "vae") if not hasattr(pipeline, attribute)
        ]
        if missing:
            raise Refusal(
                f"{path} is a {type(pipeline).__name__} without {missing[0]}: give a Stable Diffusion folder"
            )
        return cls(name, pipeline, content_hash(folder, weights))

    def reopened(self, folder: Path) -> "StableDiffusion":
        """The model saved in ``folder``, under this one's name."""
        return type(self).open(self.name, str(folder))

    def fingerprint(self) -> str:
        """A hash of the folder's files (of its configs alone where weights are random)."""
        return self._fingerprint

    def units(
        self, granularity: Sequence[str], components: Sequence[str], bypasses: bool = False
    ) -> list[Unit]:
        """See :func:`prunelab.models.units.units_of`."""
        return units_of(self, granularity, components, bypasses)

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero inputs of one forward pass at the model's own resolution and prompt length."""
        device = next(self.components[component].parameters()).device
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
            raise Refusal(
                f"{self.name} was built without a folder and has no tokenizer: it can be planned "
                "(prunelab plan); to run, give path=FOLDER of its diffusers pipeline"
            )
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

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Latents at the given timesteps of the forward process."""
        return noised(self.pipeline.scheduler, latents, timesteps, noise)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Tensor | None) -> Tensor:
        """The U-Net's output: noise, velocity or sample, as the scheduler's prediction type says."""
        output: Tensor = self.components["denoiser"](
            noisy, timesteps, encoder_hidden_states=conditions
        ).sample
        return output

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """What the U-Net is trained towards, by the scheduler's prediction type."""
        return target(self.pipeline.scheduler, latents, timesteps, noise)

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

    def with_components(self, components: Mapping[str, nn.Module]) -> "StableDiffusion":
        """The same model with some components exchanged; the others are shared, not copied."""
        pipeline = copy.copy(self.pipeline)
        for key, module in components.items():
            object.__setattr__(pipeline, ATTRIBUTES[key], module)
        return type(self)(self.name, pipeline, self._fingerprint)

    def to(self, device: torch.device) -> None:
        """Move every component."""
        for component in self.components.values():
            component.to(device)

    def save(self, folder: Path, structures: Mapping[str, Mapping[str, Any]]) -> None:
        """Write an ordinary diffusers folder; pruned components carry their structure."""
        self._tokenizer()
        save_pipeline(
            self.pipeline, folder, {ATTRIBUTES[key]: dict(value) for key, value in structures.items()}
        )
