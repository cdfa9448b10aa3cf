"""Training the autoencoder whose latents the denoiser works on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunelab.core.draws import normal, visits


class Reconstruction:
    """Squared and absolute error of the reconstruction plus a small Kullback-Leibler term on the latents.

    autoencoder: a diffusers AutoencoderKL. images: uint8, or float32 taken as they are, of shape
    (n, channels, height, width).
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
        pictures = _scaled(batch["images"])
        posterior = model.encode(pictures).latent_dist
        rebuilt = model.decode(posterior.mean + posterior.std * batch["noise"]).sample
        squared, absolute = F.mse_loss(rebuilt, pictures), F.l1_loss(rebuilt, pictures)
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        loss = squared + 0.1 * absolute + self.divergence * divergence
        return {"loss": loss, "squared": squared, "absolute": absolute, "divergence": divergence}


@torch.no_grad()
def encode(autoencoder: Any, images: Tensor, chunk: int = 50) -> Tensor:
    """The mean latents (n, channels, height, width), unscaled, of images as ``Reconstruction`` takes them.

    ``chunk`` images go through the encoder at a time.
    """
    return torch.cat([autoencoder.encode(_scaled(part)).latent_dist.mode() for part in images.split(chunk)])


@torch.no_grad()
def standardise(autoencoder: Any, latents: Tensor) -> None:
    """Change the autoencoder so that ``latents``, its own, come out with mean 0 and variance 1 per channel.

    The change goes into the 1x1 convolutions between encoder and latents and between latents and decoder;
    reconstructions stay what they are.
    """
    mean, deviation = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    moments, back = autoencoder.quant_conv, autoencoder.post_quant_conv
    channels = len(mean)
    moments.weight[:channels] /= deviation[:, None, None, None]
    moments.bias[:channels] = (moments.bias[:channels] - mean) / deviation
    moments.bias[channels:] -= 2 * deviation.log()  # the other half is the logarithm of the variance
    back.bias += back.weight[:, :, 0, 0] @ mean
    back.weight *= deviation[None, :, None, None]


def _scaled(images: Tensor) -> Tensor:
    """uint8 as [-1, 1]; floating-point numbers as they are."""
    return images if images.is_floating_point() else images.float() / 127.5 - 1
