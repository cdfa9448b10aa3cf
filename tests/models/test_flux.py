"""FLUX-like transformers: the pipeline's own sampler, gates in two streams, and folders."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from prunelab.core.draws import generator, normal
from prunelab.core.errors import Refusal
from prunelab.core.units import Unit, overlap
from prunelab.costs.component import model_costs
from prunelab.costs.parameters import parameters
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.prune import slimmed
from prunelab.surgery.gating import gated, gates_of

PROMPTS = ["a red seven", "a blue seven on a red background"]
GRANULARITIES = ("head", "neuron", "modulation", "weight")


def plan_of(units: list[Unit], share: float) -> dict[str, Tensor]:
    return {u.name: torch.rand(u.elements, generator=generator(4, 0, u.name)) >= share for u in units}


def drawn(model: PipelineModel, guidance: float = 2.0) -> Tensor:
    noise = normal(model.latent_shape, 0, range(2), "test")
    with torch.no_grad():
        return model.sample(model.embed(PROMPTS), noise, 3, guidance)


def test_it_samples_as_the_pipeline_does(flux: PipelineModel) -> None:
    noise = normal(flux.latent_shape, 0, range(2), "test")
    flux.pipeline.set_progress_bar_config(disable=True)
    made = flux.pipeline(
        PROMPTS,
        height=16,
        width=16,
        latents=noise,
        num_inference_steps=3,
        guidance_scale=2.0,
        max_sequence_length=8,
        output_type="pt",
    ).images
    torch.testing.assert_close(flux.decode(drawn(flux)[-1]), made, rtol=1e-4, atol=1e-5)
    assert not torch.equal(drawn(flux), drawn(flux, guidance=5.0))


def test_noise_and_velocity(flux: PipelineModel) -> None:
    """A step of size sigma back along the exact velocity leads home."""
    latents, noise = (normal(flux.latent_shape, seed, range(2), "flow") for seed in (0, 1))
    timesteps = torch.tensor([250, 900])
    noisy, velocity = flux.noised(latents, timesteps, noise), flux.target(latents, timesteps, noise)
    sigmas = torch.tensor([0.25, 0.9])[:, None, None]
    torch.testing.assert_close(noisy - sigmas * velocity, latents)


@torch.no_grad()
def test_data_are_encoded_as_the_pipeline_packs_and_scales(flux: PipelineModel) -> None:
    images = torch.randint(256, (2, 3, 16, 16), generator=generator(0, 0, "images")).to(torch.uint8)
    config = flux.pipeline.vae.config
    mean = flux.pipeline.vae.encode(images / 127.5 - 1).latent_dist.mean
    scaled = (mean - config.shift_factor) * config.scaling_factor
    packed = flux.pipeline._pack_latents(scaled, 2, 4, 8, 8)
    torch.testing.assert_close(flux.encode(images), packed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.4, 1.1])
@pytest.mark.parametrize("granularity", [*GRANULARITIES, "head+neuron+modulation"])
def test_gate_equals_slim(flux: PipelineModel, granularity: str, share: float) -> None:
    units = flux.units(granularity.split("+"), ["denoiser"])
    plan = plan_of(units, share)
    with gated(flux.components, units, gates_of(plan)):
        simulated = drawn(flux)
    small = slimmed(flux, units, plan)
    torch.testing.assert_close(drawn(small), simulated, rtol=1e-4, atol=1e-5)
    assert not torch.equal(simulated, drawn(flux))


def test_heads_and_neurons_of_one_projection_do_not_overlap(flux: PipelineModel) -> None:
    """They are different columns of it; attentions as operators would hold the heads' weights too."""
    units = flux.units(["head", "neuron", "modulation"], ["denoiser"])
    shared = [
        u
        for u in units
        if any(s.parameter == "single_transformer_blocks.0.proj_out.weight" for s in u.slices)
    ]
    assert {u.granularity for u in shared} == {"head", "neuron"}
    assert overlap(units) is None
    moved = [replace(u, slices=tuple(replace(s, offset=0) for s in u.slices)) for u in shared]
    assert overlap(moved) is not None


def test_heads_of_both_streams_by_hand(flux: PipelineModel) -> None:
    """A head that is gated off is one whose values are nothing, in the projections of either stream."""
    (unit,) = [u for u in flux.units(["head"], ["denoiser"]) if u.path == "transformer_blocks.0.attn"]
    attention = flux.components["denoiser"].get_submodule(unit.path)
    with gated(flux.components, [unit], {unit.name: torch.tensor([1.0, 0.0, 1.0])}):
        simulated = drawn(flux)
    saved = {name: parameter.clone() for name, parameter in attention.named_parameters()}
    with torch.no_grad():
        for name in ("to_v", "add_v_proj"):
            attention.get_submodule(name).weight[16:32] = 0
            attention.get_submodule(name).bias[16:32] = 0
        expected = drawn(flux)
        for name, parameter in attention.named_parameters():
            parameter.copy_(saved[name])
    torch.testing.assert_close(simulated, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.4, 1.1])
def test_saved_is_loaded_and_opens_in_plain_diffusers(
    flux: PipelineModel, share: float, tmp_path: Path
) -> None:
    units = flux.units(["head", "neuron", "modulation"], ["denoiser"])
    small = slimmed(flux, units, plan_of(units, share))
    small.save(tmp_path / "model")
    reopened = flux.reopened(tmp_path / "model")
    assert torch.equal(drawn(reopened), drawn(small))
    plain = DiffusionPipeline.from_pretrained(tmp_path / "model", trust_remote_code=True)
    ours = small.components["denoiser"].state_dict()
    theirs = plain.transformer.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], value) for name, value in ours.items())


def test_checkpointed_gradient_is_plain_backpropagation(flux: PipelineModel) -> None:
    units = flux.units(["head", "modulation"], ["denoiser"])
    noise, conditions = normal(flux.latent_shape, 0, range(1), "test"), flux.embed(PROMPTS[:1])
    gradients = []
    for checkpointed in (False, True):
        gates = {u.name: torch.full((u.elements,), 0.9, requires_grad=True) for u in units}
        with gated(flux.components, units, gates):
            last = flux.sample(conditions, noise, 3, 2.0, last=True, checkpointed=checkpointed)
            gradients.append(torch.autograd.grad(last.square().mean(), list(gates.values())))
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again, rtol=1e-5, atol=1e-9)


def test_what_slimming_saves(flux: PipelineModel) -> None:
    """Parameters and multiply-accumulates fall by what the units say an element costs."""
    units = flux.units(["neuron", "modulation"], ["denoiser"])
    small = slimmed(flux, units, plan_of(units, 0.5))
    before, after = (model_costs(model)["denoiser"] for model in (flux, small))
    gone = sum(
        u.parameters_per_element(flux.components["denoiser"]) * int((~plan_of([u], 0.5)[u.name]).sum())
        for u in units
    )
    assert before["parameters"] - after["parameters"] == gone
    assert after["macs"] < before["macs"]


def test_the_published_architecture_has_the_published_sizes() -> None:
    """Parameters of FLUX.1-dev's files; nothing of them is held."""
    model = PipelineModel.open("flux", architecture="flux_dev", shapes=True)
    assert {name: parameters(part) for name, part in model.components.items()} == {
        "denoiser": 11_901_408_320,
        "text_encoder": 123_060_480,
        "text_encoder_2": 4_762_310_656,
        "vae": 83_819_683,
    }
    assert model.latent_shape == (64 * 64, 64)  # 128 x 128 of 16 channels, by squares of 4
    for act in (lambda: model.save(Path("nowhere")), lambda: model.to(torch.device("cpu"))):
        with pytest.raises(Refusal, match="can be planned"):
            act()
