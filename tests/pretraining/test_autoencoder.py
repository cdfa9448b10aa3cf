"""Standardised latents: mean 0 and variance 1 per channel, the same reconstructions."""

import torch
from diffusers import AutoencoderKL

from prunelab.pretraining.autoencoder import Reconstruction, encode, standardise


def autoencoder() -> AutoencoderKL:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoencoderKL(2, 2, block_out_channels=(8,), norm_num_groups=4, latent_channels=3).eval()


PICTURES = torch.rand(20, 2, 4, 6, generator=torch.Generator().manual_seed(1)) - 0.3


@torch.no_grad()
def test_standardising_changes_the_latents_alone() -> None:
    model = autoencoder()
    before = model.encode(PICTURES).latent_dist
    rebuilt, latents = model.decode(before.mean).sample, encode(model, PICTURES)
    standardise(model, latents)
    after = model.encode(PICTURES).latent_dist
    torch.testing.assert_close(after.mean.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(after.mean.std(dim=(0, 2, 3)), torch.ones(3), rtol=1e-4, atol=0)
    torch.testing.assert_close(model.decode(after.mean).sample, rebuilt, rtol=1e-4, atol=1e-4)
    spread = latents.std(dim=(0, 2, 3))[None, :, None, None]
    torch.testing.assert_close(after.std, before.std / spread, rtol=1e-3, atol=1e-6)


def test_floating_point_pictures_are_taken_as_they_are() -> None:
    bytes_of = ((PICTURES + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    as_floats = bytes_of.float() / 127.5 - 1
    losses = [
        Reconstruction(model, images, 0, 1e-4).loss({"images": images[:4], "noise": torch.zeros(4, 3, 4, 6)})[
            "loss"
        ]
        for model, images in ((autoencoder(), bytes_of), (autoencoder(), as_floats))
    ]
    assert torch.equal(*losses)
