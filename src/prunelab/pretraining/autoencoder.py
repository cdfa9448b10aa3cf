"""Training the autoencoder whose latents the denoiser works on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunelab.core.draws import normal, visits


class Reconstruction:
    """Squared and absolute error of the reconstruction plus a small Kullback-Leibler term on the latents.

    autoencoder: a diffusers AutoencoderKL. images: uint8, (n, channels, height, width).
    divergence: weight of the Kullback-Leibler term (mean per latent number).
    """

    def __init__(self, autoencoder: Any, images: Tensor, seed: int, divergence: float) -> None:
        self.trained: nn.Module = autoencoder
        self.images, self.seed, self.divergence = images, seed, divergence
        finer = 2 ** (len(autoencoder.config.block_out_channels) - 1)
        self.latent = (autoencoder.config.latent_channels, *(side // finer for side in images.shape[2:]))

    def batch(self, draws: range) -> dict[str, Tensor]:
        """Images, and the noise that samples their latents."""
        items = visits(draws, len(self.images), self.seed, "autoencoder")
        return {"images": self.images[items], "noise": normal(self.latent, self.seed, draws, "autoencoder")}

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss and its three parts."""
        model: Any = self.trained
        pictures = batch["images"].float() / 127.5 - 1
        posterior = model.encode(pictures).latent_dist
        rebuilt = model.decode(posterior.mean + posterior.std * batch["noise"]).sample
        squared, absolute = F.mse_loss(rebuilt, pictures), F.l1_loss(rebuilt, pictures)
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        loss = squared + 0.1 * absolute + self.divergence * divergence
        return {"loss": loss, "squared": squared, "absolute": absolute, "divergence": divergence}

    def to(self, device: torch.device) -> None:
        """Nothing but the autoencoder lives on a device."""


@torch.no_grad()
def encode(autoencoder: Any, images: Tensor, chunk: int = 50) -> Tensor:
    """The mean latents (n, channels, height, width), unscaled, of uint8 images, ``chunk`` at a time."""
    parts = [autoencoder.encode(part.float() / 127.5 - 1).latent_dist.mode() for part in images.split(chunk)]
    return torch.cat(parts)
