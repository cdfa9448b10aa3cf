"""Walkers: which units there are, and that they own what they say they own."""

import pytest
import torch
from diffusers import UNet2DModel

from prunelab.core.errors import Refusal
from prunelab.core.units import Instead, overlap
from prunelab.models.pipeline import PipelineModel
from prunelab.walkers.walk import OURS, walk


def test_counts_on_the_embedded_model(model: PipelineModel) -> None:
    counts = {
        "operator": 126,
        "block": 20,
        "head": 20,
        "neuron": 10,
        "modulation": 0,
        "weight": 112,
        "conv_weight": 50,
    }
    assert {name: len(model.units([name], ["denoiser"])) for name in counts} == counts


# The row of one channel crosses the column of another.
CROSSING = {"channel", "free_channel", "norm_group"}


@pytest.mark.parametrize("granularity", [each.name for each in OURS if each.name not in CROSSING])
@pytest.mark.parametrize("component", ["denoiser", "text_encoder"])
def test_no_parameter_belongs_to_two_elements(model: PipelineModel, granularity: str, component: str) -> None:
    claims = {name: torch.zeros_like(p) for name, p in model.components[component].named_parameters()}
    units = model.units([granularity], [component])
    for unit in units:
        for piece in unit.slices:
            width = unit.elements * piece.block
            claimed = claims[piece.parameter].view(-1) if piece.flat else claims[piece.parameter]
            claimed.narrow(piece.dim, piece.offset, width).add_(1)
    assert max(float(claim.max()) for claim in claims.values()) == (1 if units else 0)


def test_views_are_the_weights_of_each_element(model: PipelineModel) -> None:
    unit = model.units(["head"], ["denoiser"])[0]
    named = dict(model.components["denoiser"].named_parameters())
    attention = model.components["denoiser"].get_submodule(unit.path)
    views = unit.views(named)
    width = attention.to_q.out_features // attention.heads
    assert torch.equal(views[0][1], attention.to_q.weight[width : 2 * width].flatten())
    assert torch.equal(views[-1][1].reshape(width, -1).T, attention.to_out[0].weight[:, width : 2 * width])


def test_operators_overlap_with_heads_but_heads_not_with_neurons(model: PipelineModel) -> None:
    assert overlap(model.units(["operator", "head"], ["denoiser"])) is not None
    assert overlap(model.units(["head", "neuron"], ["denoiser"])) is None


def test_unknown_names_are_refused_with_the_choices(model: PipelineModel) -> None:
    with pytest.raises(Refusal, match="operator, block, head, neuron"):
        model.units(["layer"], ["denoiser"])
    with pytest.raises(Refusal, match="denoiser, text_encoder, vae"):
        model.units(["head"], ["unet"])


def test_attention_with_its_own_residual_passes_its_input_on() -> None:
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    found = [u.instead for u in walk("denoiser", unet, ["operator"]) if u.path.endswith("attentions.0")]
    assert found
    assert set(found) == {Instead("input")}
