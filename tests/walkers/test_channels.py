"""Channel units: the published architecture's figures, and what every unit has to hold."""

from typing import Any

import pytest
import torch
import torch_pruning
from diffusers import UNet2DModel
from torch import nn
from torch_pruning.dependency import index_mapping

from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.walkers.walk import walk
from prunelab.walkers.wiring import wiring


def units_of(model: PipelineModel, granularity: str) -> list[Unit]:
    return model.units([granularity], ["denoiser"])


def test_every_channel_of_the_embedded_unet_belongs_to_a_unit(model: PipelineModel) -> None:
    """Rows and columns of every layer are claimed once, but for the network's own inputs and outputs."""
    root = model.components["denoiser"]
    claims = {
        (name, d): torch.zeros(p.shape[d]) for name, p in root.named_parameters() for d in range(p.ndim)
    }
    for unit in units_of(model, "channel"):
        for piece in unit.slices:
            width = unit.elements * piece.block
            claims[piece.parameter, piece.dim][piece.offset : piece.offset + width] += 1
    outer = {
        "conv_in.weight": [1],
        "conv_out.weight": [0],
        "conv_out.bias": [0],
        "time_embedding.linear_1.weight": [1],
    }
    for (name, dim), claim in claims.items():
        prompts = dim == 1 and (name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")))
        kernel = dim > 1
        outside = dim in outer.get(name, []) or prompts or kernel
        assert claim.eq(0 if outside else 1).all(), (name, dim)


def test_units_name_their_first_layer_once(model: PipelineModel) -> None:
    for granularity, count in (("channel", 61), ("free_channel", 12), ("norm_group", 12)):
        units = units_of(model, granularity)
        assert len({unit.name for unit in units}) == len(units) == count
        assert [unit.name for unit in units] == [unit.name for unit in units_of(model, granularity)]


def test_runs_are_norm_groups_and_heads(model: PipelineModel) -> None:
    units = {unit.path: unit for unit in units_of(model, "channel")}
    attention = "down_blocks.0.attentions.0.transformer_blocks.0"
    runs = {
        "conv_in": 8,  # norms of 8 groups
        "time_embedding.linear_1": 1,  # nothing but an activation
        f"{attention}.attn1.to_q": 4,  # 4 heads
        f"{attention}.ff.net.0.proj": 1,
    }
    assert {path: units[path].runs for path in runs} == runs
    assert [path for path in runs if units[path].exact] == [
        "time_embedding.linear_1",
        f"{attention}.ff.net.0.proj",
    ]


def test_free_channels_are_the_exact_ones(model: PipelineModel) -> None:
    """Feed-forwards and the time embedding: nothing that a norm or an attention layer holds a piece of."""
    units = units_of(model, "free_channel")
    paths = {unit.path for unit in units}
    assert paths == {unit.path for unit in units_of(model, "channel") if unit.exact}
    embedding = {"time_embedding.linear_1", "time_embedding.linear_2"}
    assert paths - embedding == {f"{unit.path}.net.0.proj" for unit in units_of(model, "neuron")}
    assert not any("norm" in piece.parameter for unit in units for piece in unit.slices)


def test_both_halves_of_a_gated_activation_go_together(model: PipelineModel) -> None:
    unit = next(unit for unit in units_of(model, "channel") if unit.path.endswith("ff.net.0.proj"))
    rows = [piece.offset for piece in unit.slices if piece.parameter.endswith("net.0.proj.weight")]
    assert (unit.elements, rows) == (128, [0, 128])


def test_skip_connections_are_read_at_their_offset(model: PipelineModel) -> None:
    """The lowest resolution is concatenated with itself: its first up block reads every channel twice."""
    unit = next(
        unit for unit in units_of(model, "channel") if unit.path == "down_blocks.0.downsamplers.0.conv"
    )
    offsets = [
        (p.parameter, p.offset) for p in unit.slices if p.parameter.startswith("up_blocks.0.resnets.0.conv1")
    ]
    assert offsets == [("up_blocks.0.resnets.0.conv1.weight", 0), ("up_blocks.0.resnets.0.conv1.weight", 32)]


def test_only_unets_have_channels(model: PipelineModel) -> None:
    assert walk("other", nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 1)), ["channel"]) == []
    assert model.units(["channel"], ["text_encoder"]) == []


def test_tracing_leaves_the_model_alone(model: PipelineModel) -> None:
    root = model.components["denoiser"]
    units_of(model, "channel")
    assert not root.training
    assert all(
        parameter.device.type == "cpu" and not parameter.requires_grad for parameter in root.parameters()
    )
    assert all(not module._forward_hooks for module in root.modules())


def small() -> tuple[UNet2DModel, dict[str, torch.Tensor]]:
    """A U-Net with concatenations, splits and attentions, and the arguments of a forward pass."""
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return unet, {"sample": torch.zeros(1, 3, 8, 8), "timestep": torch.zeros(1, dtype=torch.long)}


def test_groups_are_torch_prunings_own_and_indices_are_mapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It maps them again for every group; of a network that is left alone they stay as they are."""
    unet, inputs = small()
    mapped = list[object]()
    mapping = index_mapping.update_concat_index_mapping
    monkeypatch.setattr(
        index_mapping,
        "update_concat_index_mapping",
        lambda graph, node: mapped.append(node) or mapping(graph, node),
    )

    def groups(graph: Any) -> list[Any]:
        return [
            [(item.dep.target.name, item.dep.handler.__name__, item.idxs, item.root_idxs) for item in group]
            for group in graph.get_all_groups(ignored_layers=[unet.conv_out])
        ]

    ours = groups(wiring(unet, inputs))
    assert len(mapped) == len({*mapped}) > 0
    own = torch_pruning.DependencyGraph().build_dependency(
        unet, inputs, output_transform=lambda output: output[0], verbose=False
    )
    assert ours == groups(own)


def test_time_embeddings_that_scale_and_shift_are_read_twice() -> None:
    unet, inputs = small()
    units = {unit.path: unit for unit in walk("denoiser", unet, ["channel"], lambda: inputs)}
    unit = units["down_blocks.1.resnets.0.conv1"]
    rows = [p.offset for p in unit.slices if p.parameter.endswith("time_emb_proj.weight")]
    assert (unit.elements, rows) == (16, [0, 16])
