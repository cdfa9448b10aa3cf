"""Unconditional latent diffusion as diffusers' ``LDMPipeline`` lays it out: autoencoder, U-Net and scheduler.

Components: ``denoiser`` (the pipeline's ``unet``) and ``vae`` (its ``vqvae``, a VQModel or an AutoencoderKL).
"""

from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, UNet2DModel, VQModel
from torch import Tensor

from prunelab.core.settings import Place, Text, Weights
from prunelab.models.autoencoders import encoded
from prunelab.models.unconditional import Unconditional


class LatentDiffusion(Unconditional):
    """An unconditional model of images (batch, channels, H, W) by way of latents (batch, channels, h, w).

    Media of another kind take a subclass that overrides ``encode`` and ``decode``: what is between pictures
    in [-1, 1] and latents stays as it is.
    """

    attributes: ClassVar = {"denoiser": "unet", "vae": "vqvae"}
    kinds: ClassVar = {"unet": UNet2DModel, "vqvae": (AutoencoderKL, VQModel)}
    layout: ClassVar = (
        "a folder of an LDMPipeline, with an unconditional U-Net and an AutoencoderKL or VQModel"
    )

    @classmethod
    def open(
        cls,
        name: Text,
        path: Place | None = None,
        weights: Weights = "pretrained",
        embedded: Text | None = None,
    ) -> "LatentDiffusion":
        """See :meth:`prunelab.models.diffusers_model.DiffusersModel.open_folder`."""
        return cls.open_folder(name, path, weights, embedded)

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero latents and timesteps of the denoiser; for the autoencoder a picture of zeros."""
        if component != "vae":
            return super().example_inputs(component, batch)
        return {"sample": torch.zeros(batch, *self.picture_shape, device=self.device(component))}

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """Channels, height and width of what the autoencoder sees."""
        config = self.pipeline.vqvae.config
        finer = 2 ** (len(config.block_out_channels) - 1)
        return (config.in_channels, *(side * finer for side in self.latent_shape[1:]))

    def encode(self, media: Tensor) -> Tensor:
        """uint8 images to scaled latents."""
        return self._to_latents(media.float() / 127.5 - 1)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents to images in [0, 1]."""
        return (self._from_latents(latents) / 2 + 0.5).clamp(0, 1)

    def _to_latents(self, pictures: Tensor) -> Tensor:
        """Pictures in [-1, 1] to scaled latents."""
        autoencoder = self.pipeline.vqvae
        scale: float = autoencoder.config.scaling_factor
        return encoded(autoencoder, pictures) * scale

    def _from_latents(self, latents: Tensor) -> Tensor:
        """Scaled latents to pictures of about [-1, 1]."""
        autoencoder = self.pipeline.vqvae
        pictures: Tensor = autoencoder.decode(latents / autoencoder.config.scaling_factor).sample
        return pictures
