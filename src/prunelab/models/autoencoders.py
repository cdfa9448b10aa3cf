"""What the autoencoders of latent models make of pictures: one of either kind, one way to read it."""

from typing import Any

from diffusers import VQModel
from torch import Tensor


def encoded(autoencoder: Any, pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1] to latents that are not scaled yet, (batch, channels, h, w).

    Of a posterior (AutoencoderKL) the mean, so that nothing is drawn; of a VQModel what it quantises when it
    decodes.
    """
    found = autoencoder.encode(pictures)
    latents: Tensor = found.latents if isinstance(autoencoder, VQModel) else found.latent_dist.mean
    return latents
