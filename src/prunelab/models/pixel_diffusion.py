"""Unconditional diffusion on pixels as diffusers' ``DDPMPipeline`` lays it out: a U-Net and a scheduler.

The only component is ``denoiser`` (the pipeline's ``unet``); latents are the images themselves in [-1, 1].
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from diffusers import DDPMPipeline, DDPMScheduler, DiffusionPipeline, UNet2DModel
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.settings import Place, Text, Weights
from prunelab.models.diffusers_model import check_weights
from prunelab.models.unconditional import Unconditional


class PixelDiffusion(Unconditional):
    """An unconditional model of images (batch, channels, h, w)."""

    attributes: ClassVar = {"denoiser": "unet"}
    kinds: ClassVar = {"unet": UNet2DModel}
    layout: ClassVar = "a folder with an unconditional U-Net"

    @classmethod
    def open(
        cls,
        name: Text,
        path: Place | None = None,
        weights: Weights = "pretrained",
        embedded: Text | None = None,
        unet: Mapping[str, Any] | None = None,
        scheduler: Mapping[str, Any] | None = None,
    ) -> "PixelDiffusion":
        """As ``open_folder``; without any folder, random weights in the architecture ``unet, scheduler``.

        Raises Refusal as that does, and for an architecture without a folder unless weights are random.
        """
        check_weights(weights)
        if path is not None or embedded is not None:
            return cls.open_folder(name, path, weights, embedded)
        if weights == "random" and unet is not None and scheduler is not None:
            return cls(name, _drawn(unet, scheduler), _hash({"unet": unet, "scheduler": scheduler}))
        raise Refusal(
            f"model={name} brings no weights: give path=FOLDER of a diffusers model, or weights=random"
        )

    def encode(self, media: Tensor) -> Tensor:
        """uint8 images (batch, channels, h, w) to [-1, 1]."""
        return media.float() / 127.5 - 1

    def decode(self, latents: Tensor) -> Tensor:
        """[-1, 1] to images in [0, 1]."""
        return (latents / 2 + 0.5).clamp(0, 1)


def _drawn(unet: Mapping[str, Any], scheduler: Mapping[str, Any]) -> DiffusionPipeline:
    """A pipeline of this architecture with weights drawn from seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DDPMPipeline(UNet2DModel(**unet), DDPMScheduler(**scheduler))


def _hash(architecture: Mapping[str, Any]) -> str:
    content = json.dumps(architecture, sort_keys=True, default=dict)
    return hashlib.sha256(f"random {content}".encode()).hexdigest()
