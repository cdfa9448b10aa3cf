"""The unconditional latent model: against diffusers' own pipeline, and by its promises."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, LDMPipeline, UNet2DModel, VQModel

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.models.folders import EMBEDDED
from prunelab.models.pipeline import PipelineModel


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a VQModel, as the pipeline had it first."""
    two: dict[str, Any] = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    torch.manual_seed(0)
    autoencoder = VQModel(
        sample_size=16,
        scaling_factor=0.7,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **two,
    )
    unet = UNet2DModel(
        sample_size=(8, 4),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        **two,
    )
    folder = tmp_path_factory.mktemp("quantised")
    LDMPipeline(autoencoder, unet, DDIMScheduler(clip_sample=False)).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_sampling_equals_the_pipeline(latents: PipelineModel) -> None:
    pipeline = DiffusionPipeline.from_pretrained(EMBEDDED / "tiny_uig_latent", dtype=torch.float32)
    assert isinstance(pipeline, LDMPipeline)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(2, *latents.latent_shape, generator=torch.Generator().manual_seed(0))
    theirs = pipeline(2, torch.Generator().manual_seed(0), num_inference_steps=3, output_type="np").images
    ours = latents.decode(latents.sample(None, noise, 3, 1.0)[-1])
    assert (ours.permute(0, 2, 3, 1) - torch.as_tensor(theirs)).abs().max() < 1e-5


@torch.no_grad()
def test_encoding_is_the_scaled_mean(latents: PipelineModel) -> None:
    images = torch.randint(256, (3, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    posterior = latents.pipeline.vqvae.encode(images.float() / 127.5 - 1).latent_dist
    encoded = latents.encode(images)
    assert encoded.shape == (3, *latents.latent_shape)
    torch.testing.assert_close(encoded, posterior.mode() * latents.pipeline.vqvae.config.scaling_factor)
    rebuilt = latents.decode(encoded)
    assert rebuilt.shape == images.shape
    assert 0 <= rebuilt.min() <= rebuilt.max() <= 1


@torch.no_grad()
def test_quantised_latents_and_unequal_sides(quantised: Path) -> None:
    model = PipelineModel.open("vq", str(quantised))
    autoencoder = model.pipeline.vqvae
    assert model.latent_shape == (3, 8, 4)
    assert model.example_inputs("vae", 2)["sample"].shape == (2, 3, 16, 8)
    images = torch.randint(256, (2, 3, 16, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    unscaled = autoencoder.encode(images.float() / 127.5 - 1).latents
    torch.testing.assert_close(model.encode(images), unscaled * 0.7)
    expected = (autoencoder.decode(unscaled).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(model.decode(model.encode(images)), expected, rtol=1e-4, atol=1e-5)


def test_random_weights_are_the_same_every_time(quantised: Path) -> None:
    first, again = (PipelineModel.open("vq", str(quantised), weights="random") for _ in range(2))
    assert first.fingerprint() == again.fingerprint()
    for name, component in first.components.items():
        weights = component.state_dict()
        assert all(torch.equal(v, weights[n]) for n, v in again.components[name].state_dict().items())


def test_nothing_conditions_it(latents: PipelineModel) -> None:
    assert latents.embed(["a word"]) is None
    with pytest.raises(Refusal, match="tiny_uig_latent is unconditional"):
        latents.real_tokens(["a word"])
    noise = normal(latents.latent_shape, 0, range(2), "noise")
    with torch.no_grad():
        every = latents.sample(None, noise, 3, 1.0)
        assert torch.equal(latents.sample(None, noise, 3, 7.0, last=True), every[-1:])


def test_what_cannot_be_opened_is_one_line(model: PipelineModel, quantised: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="path=FOLDER"):
        PipelineModel.open("none")
    with pytest.raises(Refusal, match="pretrained, random"):
        PipelineModel.open("none", str(quantised), weights="other")
