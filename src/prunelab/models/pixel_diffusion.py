"""Unconditional diffusion on pixels as diffusers' ``DDPMPipeline`` lays it out: a U-Net and a scheduler.

The only component is ``denoiser`` (the pipeline's ``unet``). There are no prompts, so conditions are None;
latents are the images themselves in [-1, 1].
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, DiffusionPipeline, UNet2DModel
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.units import Unit
from prunelab.models.folders import content_hash, locate, open_random
from prunelab.models.process import noised, target, trajectory
from prunelab.models.units import units_of
from prunelab.surgery.opening import open_pipeline
from prunelab.surgery.saving import save_pipeline


class PixelDiffusion:
    """An unconditional model of images (batch, channels, h, w); sampled by DDIM (eta 0) from its schedule."""

    def __init__(self, name: str, pipeline: DiffusionPipeline, fingerprint: str) -> None:
        self.name = name
        self.pipeline = pipeline
        self._fingerprint = fingerprint
        unet: UNet2DModel = pipeline.unet
        self.components: dict[str, nn.Module] = {"denoiser": unet.eval().requires_grad_(False)}
        self.latent_shape = (unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
        self.timesteps: int = pipeline.scheduler.config.num_train_timesteps
        self._sampler = DDIMScheduler.from_config(pipeline.scheduler.config)

    @classmethod
    def open(
        cls,
        name: str,
        path: str | None = None,
        weights: str = "pretrained",
        unet: Mapping[str, Any] | None = None,
        scheduler: Mapping[str, Any] | None = None,
    ) -> "PixelDiffusion":
        """Open the folder ``path``; without one, random weights in the architecture of the configuration.

        Raises Refusal for a missing or broken folder, another kind of pipeline, or unknown ``weights``.
        """
        if weights not in ("pretrained", "random"):
            raise Refusal(f"unknown weights {weights!r}: choose from pretrained, random")
        if path is None and weights == "random" and unet is not None and scheduler is not None:
            return cls(name, _drawn(unet, scheduler), _hash({"unet": unet, "scheduler": scheduler}))
        if path is None:
            raise Refusal(
                f"model={name} brings no weights: give path=FOLDER of a diffusers model, or weights=random"
            )
        folder = locate(path)
        pipeline = open_random(folder) if weights == "random" else open_pipeline(folder)
        if not isinstance(getattr(pipeline, "unet", None), UNet2DModel):
            raise Refusal(f"{path} is a {type(pipeline).__name__}: give a folder with an unconditional U-Net")
        return cls(name, pipeline, content_hash(folder, weights))

    def reopened(self, folder: Path) -> "PixelDiffusion":
        """The model saved in ``folder``, under this one's name."""
        return type(self).open(self.name, str(folder))

    def fingerprint(self) -> str:
        """A hash of the folder's files (of its configuration alone where weights are random)."""
        return self._fingerprint

    def units(
        self, granularity: Sequence[str], components: Sequence[str], bypasses: bool = False
    ) -> list[Unit]:
        """See :func:`prunelab.models.units.units_of`."""
        return units_of(self, granularity, components, bypasses)

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero images and timesteps."""
        device = next(self.components[component].parameters()).device
        return {
            "sample": torch.zeros(batch, *self.latent_shape, device=device),
            "timestep": torch.zeros(batch, dtype=torch.long, device=device),
        }

    def embed(self, prompts: Sequence[str]) -> None:
        """None: nothing conditions this model."""

    def encode(self, media: Tensor) -> Tensor:
        """uint8 images (batch, channels, h, w) to [-1, 1]."""
        return media.float() / 127.5 - 1

    def decode(self, latents: Tensor) -> Tensor:
        """[-1, 1] to images in [0, 1]."""
        return (latents / 2 + 0.5).clamp(0, 1)

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Images at the given timesteps of the forward process."""
        return noised(self.pipeline.scheduler, latents, timesteps, noise)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Tensor | None) -> Tensor:
        """The U-Net's output."""
        output: Tensor = self.components["denoiser"](noisy, timesteps).sample
        return output

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """What the U-Net is trained towards, by the scheduler's prediction type."""
        return target(self.pipeline.scheduler, latents, timesteps, noise)

    def sample(self, conditions: Tensor | None, latents: Tensor, steps: int, guidance: float) -> Tensor:
        """Images after every DDIM step, shape (steps, batch, ...); there is nothing to guide."""
        return trajectory(self._sampler, lambda x, t: self.predict(x, t, None), latents, steps)

    def with_components(self, components: Mapping[str, nn.Module]) -> "PixelDiffusion":
        """The same model with another denoiser."""
        pipeline = copy.copy(self.pipeline)
        object.__setattr__(pipeline, "unet", components.get("denoiser", self.components["denoiser"]))
        return type(self)(self.name, pipeline, self._fingerprint)

    def to(self, device: torch.device) -> None:
        """Move the denoiser."""
        self.components["denoiser"].to(device)

    def save(self, folder: Path, structures: Mapping[str, Mapping[str, Any]]) -> None:
        """Write an ordinary diffusers folder; a pruned denoiser carries its structure."""
        named = {"unet": dict(structures["denoiser"])} if "denoiser" in structures else {}
        save_pipeline(self.pipeline, folder, named)


def _drawn(unet: Mapping[str, Any], scheduler: Mapping[str, Any]) -> DiffusionPipeline:
    """A pipeline of this architecture with weights drawn from seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DDPMPipeline(UNet2DModel(**unet), DDPMScheduler(**scheduler))


def _hash(architecture: Mapping[str, Any]) -> str:
    content = json.dumps(architecture, sort_keys=True, default=dict)
    return hashlib.sha256(f"random {content}".encode()).hexdigest()
