"""An autoencoder that works by tiles alone is asked as its users ask it."""

import copy
from typing import Any

import torch
from families import autoencoders

from prunelab.costs.macs import macs
from prunelab.models.autoencoding import Autoencoding
from prunelab.surgery.tiling import decoded


@torch.no_grad()
def test_without_tiles_it_does_nothing_and_with_them_what_it_does() -> None:
    """Allegro's, in two tiles of 8 frames of 16 x 16 that overlap by half."""
    vae: Any = autoencoders.allegro().eval()
    vae.kernel, vae.stride = (8, 16, 16), (4, 8, 8)
    latents = torch.randn(1, 4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    plain = copy.deepcopy(vae)
    plain.enable_tiling()
    found = decoded(vae, latents)
    assert torch.equal(found, plain.decode(latents).sample.transpose(1, 2))
    coding = Autoencoding(vae, (4, 3, 2, 2), lambda each: each)
    assert coding.picture_shape == found.shape[1:] == (3, 12, 16, 16)
    encoded = coding.encode(found.transpose(1, 2))  # data have the frames first
    torch.testing.assert_close(encoded, plain.encode(found).latent_dist.mean)
    assert macs(vae, {"sample": found}).total == 2 * tile_of(vae) + between(vae)


def tile_of(vae: Any) -> int:
    """MACs of one tile, to and fro."""
    to, fro = torch.zeros(1, 3, 8, 16, 16), torch.zeros(1, 4, 2, 2, 2)
    return macs(vae.encoder, {"sample": to}).total + macs(vae.decoder, {"sample": fro}).total


def between(vae: Any) -> int:
    """MACs of the two convolutions that see all of the 12 latents at once."""
    return 12 * sum(each.weight.numel() for each in (vae.quant_conv, vae.post_quant_conv))
