"""The model's own loops against diffusers' pipeline and against formulas written out."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.models import pipeline
from prunelab.models.pipeline import PipelineModel

PROMPTS = ["a red seven on a blue background", "a white two on a black background"]


@torch.no_grad()
def test_sampling_equals_the_pipeline(model: PipelineModel) -> None:
    noise = normal(model.latent_shape, 0, range(2), "test")
    for guidance in (1.0, 2.0):
        ours = model.sample(model.embed(PROMPTS), noise, 3, guidance)[-1]
        model.pipeline.set_progress_bar_config(disable=True)
        theirs = model.pipeline(
            PROMPTS, latents=noise, num_inference_steps=3, guidance_scale=guidance, output_type="latent"
        ).images
        assert (ours - theirs).abs().max() < 1e-5


@torch.no_grad()
def test_velocity_target_and_noising_by_the_formula(model: PipelineModel) -> None:
    latents, noise = normal((4, 8, 8), 0, range(3), "x"), normal((4, 8, 8), 0, range(3), "eps")
    timesteps = torch.tensor([0, 500, 999])
    bar = torch.linspace(1 - 1e-4, 1 - 2e-2, 1000, dtype=torch.float64).cumprod(0)[timesteps]
    signal, sigma = bar.sqrt().float()[:, None, None, None], (1 - bar).sqrt().float()[:, None, None, None]
    assert torch.allclose(
        model.noised(latents, timesteps, noise), signal * latents + sigma * noise, atol=1e-4
    )
    assert torch.allclose(
        model.target(latents, timesteps, noise), signal * noise - sigma * latents, atol=1e-4
    )


@torch.no_grad()
def test_encoding_and_decoding_are_inverse_enough(model: PipelineModel) -> None:
    from prunelab.data.digits import Digits

    images = torch.as_tensor(Digits(0, 10, 32).test()[:]["image"])
    error = (model.decode(model.encode(images)) * 255 - images).pow(2).mean()
    assert 10 * torch.log10(255**2 / error) > 26  # dB


@torch.no_grad()
def test_pictures_of_real_size_are_decoded_a_few_at_once(
    model: PipelineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents, sizes = normal(model.latent_shape, 0, range(5), "test"), []
    decoder: Any = model.components["vae"]
    whole, decode = model.decode(latents), decoder.decode

    def counted(few: Tensor, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(few))
        return decode(few, *args, **kwargs)

    monkeypatch.setattr(pipeline, "AT_ONCE", 2 * latents[0].numel() + 1)
    monkeypatch.setattr(decoder, "decode", counted)
    chunked = model.decode(latents)
    assert sizes == [2, 2, 1]
    assert torch.allclose(chunked, whole, rtol=0, atol=1e-5)  # round-off


def test_the_sampler_is_differentiable(model: PipelineModel) -> None:
    noise = normal(model.latent_shape, 0, range(1), "test").requires_grad_(True)
    model.sample(model.embed(PROMPTS[:1]), noise, 2, 1.0)[-1].sum().backward()
    assert noise.grad is not None
    assert noise.grad.abs().sum() > 0


def test_weights_random_keeps_the_architecture(model: PipelineModel) -> None:
    random = PipelineModel.open("tiny_t2i", weights="random", embedded="tiny_t2i")
    again = PipelineModel.open("tiny_t2i", weights="random", embedded="tiny_t2i")
    shapes = {name: p.shape for name, p in model.components["denoiser"].named_parameters()}
    drawn = dict(random.components["denoiser"].named_parameters())
    assert {name: p.shape for name, p in drawn.items()} == shapes
    repeated = dict(again.components["denoiser"].named_parameters())
    assert all(torch.equal(p, repeated[name]) for name, p in drawn.items())
    assert not torch.equal(drawn["conv_in.weight"], model.components["denoiser"].conv_in.weight)
    assert random.fingerprint() != model.fingerprint()


def test_media_of_another_shape_are_refused(model: PipelineModel) -> None:
    with pytest.raises(Refusal, match="give media of shape"):
        model.encode(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))


def test_a_copy_without_numbers_leaves_the_inputs_of_the_model_where_they_are(model: PipelineModel) -> None:
    """What shapes alone are given is kept, and shared by copies: it must not reach one with numbers."""
    parts = {name: copy.deepcopy(part).to("meta") for name, part in model.components.items()}
    shapes = model.with_components(parts)
    for own, hollow in ((shapes, True), (model, False), (shapes.with_components(model.components), False)):
        for component in ("denoiser", "text_encoder"):
            given = [v for v in own.example_inputs(component, 1).values() if isinstance(v, Tensor)]
            assert any(each.device.type == "meta" for each in given) == hollow, component
