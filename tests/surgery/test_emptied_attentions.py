"""An attention without heads is one whose heads are all gated, whatever kind of attention it is."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from prunelab.core.draws import generator
from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.pruned_layers import replacement
from prunelab.surgery.slimming import slim, step_of
from prunelab.surgery.version_1 import renewed
from prunelab.walkers.calls import Calls
from prunelab.walkers.walk import known

ROUND_OFF = 2e-6
SQRT2 = math.sqrt(2)

FLAVOURS: dict[str, dict[str, Any]] = {
    "plain": {},
    "biased": {"bias": True},
    "without a bias": {"out_bias": False},
    "residual": {"residual_connection": True},
    "rescaled": {"rescale_output_factor": SQRT2},
    "rescaled residual": {"rescale_output_factor": SQRT2, "residual_connection": True},
    "rescaled residual without a bias": {
        "rescale_output_factor": 2.0,
        "residual_connection": True,
        "out_bias": False,
    },
    "normed residual": {"norm_num_groups": 4, "residual_connection": True, "rescale_output_factor": SQRT2},
    "spatially normed": {"spatial_norm_dim": 4, "residual_connection": True},
    "across": {"cross_attention_dim": 12},
    "of another width": {"out_dim": 24, "heads": 6},
    "with normed queries": {"qk_norm": "rms_norm"},
    "dropping out": {"dropout": 0.5},
}


class Around(nn.Module):
    """One attention as denoisers call it: on tokens, or on pictures, reshaped afterwards as some do."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.attention = Attention(**{"query_dim": 32, "heads": 4, "dim_head": 4, **options})

    def forward(self, hidden_states: Tensor, **inputs: Any) -> Tensor:
        made = self.attention(hidden_states, **inputs)
        return made.permute(0, 2, 3, 1) if made.ndim == 4 else made.permute(0, 2, 1).contiguous()


def drawn(module: nn.Module) -> nn.Module:
    """In eval mode, every parameter from a normal distribution: no bias is zero, no norm is one."""
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(0, 0, name)) / 4)
    return module.eval()


def emptied(root: nn.Module, units: list[Unit], inputs: dict[str, Any]) -> tuple[Tensor, Tensor, nn.Module]:
    """What ``root`` gives with all elements gated, with all removed, and the smaller copy."""
    plan = {unit.name: torch.zeros(unit.elements, dtype=torch.bool) for unit in units}
    with torch.no_grad():
        with gated({"denoiser": root}, units, gates_of(plan)):
            simulated = root(**inputs)
        small, step = slim(root, units, plan), step_of(root, units, plan)
        assert json.loads(json.dumps(step)) == step
        return simulated, small(**inputs), small


@pytest.mark.parametrize("granularity", ["head", "operator"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_gate_equals_slim_without_any_heads(flavour: str, granularity: str) -> None:
    options = FLAVOURS[flavour]
    root = drawn(Around(**options))
    units = list(known(granularity).walk("denoiser", root, Calls(root)))
    offered = granularity == "head" or "rescale_output_factor" not in options
    assert [unit.path for unit in units if unit.path == "attention"] == ["attention"] * offered
    random = generator(1, 0, flavour)
    inputs: dict[str, Any] = {"hidden_states": torch.randn(2, 9, 32, generator=random)}
    if "cross_attention_dim" in options:
        inputs["encoder_hidden_states"] = torch.randn(2, 5, 12, generator=random)
    pictures = torch.randn(2, 32, 3, 3, generator=random)
    if "spatial_norm_dim" in options:
        inputs = {"hidden_states": pictures, "temb": torch.randn(2, 4, 3, 3, generator=random)}
    for given in (inputs, {**inputs, "hidden_states": pictures}):
        if flavour == "of another width" and given["hidden_states"].ndim == 4:
            continue  # such an attention cannot put its output back into a picture
        simulated, performed, _ = emptied(root, units, given)
        assert simulated.shape == performed.shape
        assert (simulated - performed).abs().max() <= ROUND_OFF * max(1, float(simulated.abs().max()))
        with torch.no_grad():
            assert not offered or (root(**given) - performed).abs().max() > 1e-3


def test_a_feed_forward_of_another_width_leaves_zeros_of_that_width() -> None:
    root = drawn(nn.Sequential(FeedForward(16, dim_out=24)))
    units = list(known("operator").walk("denoiser", root, Calls(root)))
    simulated, performed, _ = emptied(root, units, {"input": torch.randn(2, 9, 16)})
    assert simulated.shape == performed.shape == (2, 9, 24)
    assert not performed.any()


@pytest.fixture
def scored() -> PipelineModel:
    """A U-Net as NCSN++ has them (Song et al. 2021), whose blocks are scaled by the root of two."""
    unet = UNet2DModel(
        sample_size=8, block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=4,
        attention_head_dim=8, mid_block_scale_factor=SQRT2, time_embedding_type="fourier",
        down_block_types=("SkipDownBlock2D", "AttnSkipDownBlock2D"),
        up_block_types=("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    )  # fmt: skip
    drawn(unet)
    return PipelineModel("scored", DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=100)), "")


@torch.no_grad()
def test_a_rescaling_model_without_heads_is_exact_and_saved_equals_loaded(
    scored: PipelineModel, tmp_path: Path
) -> None:
    root, units = scored.components["denoiser"], scored.units(["head"], ["denoiser"])
    assert {root.get_submodule(unit.path).rescale_output_factor for unit in units} == {SQRT2}
    plan = {unit.name: torch.zeros(unit.elements, dtype=torch.bool) for unit in units}
    inputs = {
        "sample": torch.randn(2, 3, 8, 8, generator=generator(0, 0, "x")),
        "timestep": torch.tensor([1, 9]),
    }
    with gated(scored.components, units, gates_of(plan)):
        simulated = root(**inputs)[0]
    small = slim(root, units, plan)
    performed = small(**inputs)[0]
    assert (simulated - performed).abs().max() <= 2e-5 * float(simulated.abs().max())
    scored.with_components({"denoiser": small}).save(tmp_path)
    assert torch.equal(performed, scored.reopened(tmp_path).components["denoiser"](**inputs)[0])


@torch.no_grad()
def test_structures_written_before_the_rescaling_was_kept_still_mean_what_they_did(
    scored: PipelineModel,
) -> None:
    def replaced(entry: dict[str, Any]) -> nn.Module:
        content = {"version": 1, "base": "UNet2DModel", "modules": {path: entry}}
        return replacement(attention, renewed(content, root)["steps"][0][path])

    root = scored.components["denoiser"]
    path = scored.units(["head"], ["denoiser"])[0].path
    attention = root.get_submodule(path)
    value = torch.randn(2, 32, 4, 4, generator=generator(0, 0, "x"))
    bias = attention.to_out[0].bias
    assert torch.equal(replaced({"becomes": "bias"})(value), value + bias[:, None, None])
    now = replaced({"becomes": "bias", "rescaled": True})(value)
    assert torch.equal(now, (value + bias[:, None, None]) / SQRT2)
