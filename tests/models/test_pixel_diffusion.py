"""The unconditional pixel model: against diffusers' own pipeline, and by its promises."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.taylor import Taylor
from prunelab.stages.score import follow
from prunelab.trainers.hardware import Hardware

UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": None,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
}
SCHEDULER: dict[str, Any] = {"num_train_timesteps": 100, "prediction_type": "epsilon"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pixels") / "model"
    DDPMPipeline(UNet2DModel(**UNET), DDPMScheduler(**SCHEDULER)).save_pretrained(found)
    return found


@pytest.fixture
def drawn(folder: Path) -> PipelineModel:
    """Of the folder's configurations alone."""
    return PipelineModel.open("pixels", str(folder), weights="random")


@torch.no_grad()
def test_sampling_equals_the_pipeline(drawn: PipelineModel) -> None:
    model = drawn
    scheduler = DDIMScheduler.from_config(model.pipeline.scheduler.config)
    pipeline = DDIMPipeline(model.components["denoiser"], scheduler)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    theirs = pipeline(
        2,
        torch.Generator().manual_seed(0),
        num_inference_steps=4,
        use_clipped_model_output=False,
        output_type="np",
    )
    ours = model.decode(model.sample(None, noise, 4, 1.0)[-1])
    assert (ours.permute(0, 2, 3, 1) - torch.as_tensor(theirs.images)).abs().max() < 1e-5


def test_nothing_conditions_it_and_pixels_are_latents(drawn: PipelineModel) -> None:
    model, images = drawn, torch.arange(192, dtype=torch.uint8).reshape(1, 3, 8, 8)
    assert model.embed(["a word"]) is None
    assert model.latent_shape == (3, 8, 8)
    assert torch.equal((model.decode(model.encode(images)) * 255).round().to(torch.uint8), images)
    noise, timesteps = normal((3, 8, 8), 0, range(1), "noise"), torch.tensor([7])
    assert torch.equal(model.target(model.encode(images), timesteps, noise), noise)


def test_random_weights_are_the_same_every_time_and_survive_the_disk(folder: Path, tmp_path: Path) -> None:
    first, again = (PipelineModel.open("pixels", str(folder), weights="random") for _ in range(2))
    weights = first.components["denoiser"].state_dict()
    assert all(torch.equal(v, weights[n]) for n, v in again.components["denoiser"].state_dict().items())
    assert first.fingerprint() == again.fingerprint()
    first.save(tmp_path)
    reopened = first.reopened(tmp_path)
    assert all(torch.equal(v, weights[n]) for n, v in reopened.components["denoiser"].state_dict().items())
    assert reopened.fingerprint() != first.fingerprint()


def test_taylor_scores_it_without_prompts(drawn: PipelineModel) -> None:
    class Noise:
        def prompts(self, draws: range) -> list[str]:
            return [""] * len(draws)

        def media(self, draws: range) -> Tensor:
            return torch.full((len(draws), 3, 8, 8), 100, dtype=torch.uint8)

    units = drawn.units(["channel"], ["denoiser"])
    scorer = Taylor(samples=2, stride=50, batch_size=2)
    scores = follow(scorer.passes(drawn, units, Noise()), Hardware())
    assert all(scores[unit.name].min() > 0 for unit in units)


def test_what_cannot_be_opened_is_one_line(drawn: PipelineModel) -> None:
    with pytest.raises(Refusal, match="path=FOLDER"):
        PipelineModel.open("pixels")
    with pytest.raises(Refusal, match=r"comes without weights: give path=FOLDER.*weights=random"):
        PipelineModel.open("pixels", architecture="ddpm_cifar10")
    with pytest.raises(Refusal, match=r"no architecture 'ddpm': choose from .*ddpm_cifar10"):
        PipelineModel.open("pixels", architecture="ddpm", weights="random")
    with pytest.raises(Refusal, match="pretrained, random"):
        PipelineModel.open("pixels", weights="none")
    with pytest.raises(Refusal, match="unknown component 'vae'"):
        drawn.units(["channel"], ["vae"])


def test_options_of_the_sampler_and_tokens(pixels: PipelineModel) -> None:
    """``last`` alone is looked at here: test_checkpointed_sampling.py has the others."""
    assert pixels.latent_shape == (1, 16, 16)
    noise = normal(pixels.latent_shape, 0, range(2), "noise")
    with torch.no_grad():
        every = pixels.sample(None, noise, 3, 1.0)
        assert torch.equal(pixels.sample(None, noise, 3, 1.0, last=True), every[-1:])
    with pytest.raises(Refusal, match="tiny_uig is unconditional"):
        pixels.real_tokens(["a word"])
