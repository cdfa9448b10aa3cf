"""A folder that was written when structures had version 1 is the model that it was."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prunelab.core.protocols import Model
from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.prune import slimmed
from prunelab.surgery.carried import structure_of

DOWN, UP = "down_blocks.0.attentions.0.transformer_blocks.0", "up_blocks.1.attentions.0.transformer_blocks.0"
Chosen = list[tuple[str, str, str, int]]

# component, granularity, path and how many elements went; and what prunelab wrote of it then.
T2I: Chosen = [
    ("denoiser", "head", f"{DOWN}.attn1", 4),
    ("denoiser", "head", f"{DOWN}.attn2", 1),
    ("denoiser", "operator", "down_blocks.0.attentions.1.transformer_blocks.0.ff", 1),
    ("denoiser", "operator", "down_blocks.0.resnets.0.conv1", 1),
    ("denoiser", "operator", "down_blocks.0.downsamplers.0.conv", 1),
    ("denoiser", "block", "up_blocks.0.resnets.0", 1),
    ("denoiser", "block", "up_blocks.0.attentions.0", 1),
    ("denoiser", "neuron", f"{UP}.ff", 100),
    ("text_encoder", "head", "encoder.layers.0.self_attn", 4),
    ("text_encoder", "operator", "encoder.layers.1.self_attn", 1),
]
T2I_WRITTEN: dict[str, Any] = {
    "unet": {
        f"{DOWN}.attn1": {"becomes": "bias"},
        f"{DOWN}.attn2": {"heads": 3, "inner_dim": 24, "inner_kv_dim": 24},
        f"{DOWN}.attn2.to_k": {"out_features": 24},
        f"{DOWN}.attn2.to_out.0": {"in_features": 24},
        f"{DOWN}.attn2.to_q": {"out_features": 24},
        f"{DOWN}.attn2.to_v": {"out_features": 24},
        "down_blocks.0.attentions.1.transformer_blocks.0.ff": {"becomes": "nothing"},
        "down_blocks.0.downsamplers.0.conv": {"becomes": "bypass"},
        "down_blocks.0.resnets.0.conv1": {"becomes": "input"},
        "up_blocks.0.attentions.0": {"becomes": "input"},
        "up_blocks.0.resnets.0": {"becomes": "shortcut"},
        f"{UP}.ff.net.0.proj": {"out_features": 56},
        f"{UP}.ff.net.2": {"in_features": 28},
    },
    "text_encoder": {
        "encoder.layers.0.self_attn": {"becomes": "bias"},
        "encoder.layers.1.self_attn": {"becomes": "nothing"},
    },
}
FLUX: Chosen = [
    ("denoiser", "head", "transformer_blocks.0.attn", 3),
    ("denoiser", "head", "single_transformer_blocks.0.attn", 3),
]
FLUX_WRITTEN: dict[str, Any] = {
    "transformer": {
        "transformer_blocks.0.attn": {"becomes": "bias"},
        "single_transformer_blocks.0.attn": {"becomes": "bias"},
        "single_transformer_blocks.0.proj_out": {"in_features": 0},
    }
}


def without(model: Model, chosen: Chosen) -> Model:
    units: list[Unit] = []
    plan = {}
    for component, granularity, path, gone in chosen:
        (unit,) = [
            each for each in model.units([granularity], [component], bypasses=True) if each.path == path
        ]
        units.append(unit)
        plan[unit.name] = torch.arange(unit.elements) >= gone
    return slimmed(model, units, plan)


@torch.no_grad()
def drawn(model: Model) -> Tensor:
    noise = torch.linspace(-1, 1, 256).reshape(1, *model.latent_shape)
    return model.sample(model.embed(["a red seven on a blue background"]), noise, 2, 2.0)


def check(small: Model, written: dict[str, Any], folder: Path) -> None:
    small.save(folder)
    for part, modules in written.items():
        file = folder / part / "config.json"
        config = json.loads(file.read_text())
        base = config["structure"]["base"]
        config["structure"] = {"version": 1, "base": base, "modules": modules}
        file.write_text(json.dumps(config))
    opened = small.reopened(folder)
    assert torch.equal(drawn(opened), drawn(small))
    for name in small.pruned():
        assert structure_of(opened.components[name]) == structure_of(small.components[name])


def test_every_fate_still_means_what_it_did(model: PipelineModel, tmp_path: Path) -> None:
    check(without(model, T2I), T2I_WRITTEN, tmp_path)


def test_attentions_of_two_streams_too(flux: PipelineModel, tmp_path: Path) -> None:
    small = without(flux, FLUX)
    proj = small.components["denoiser"].get_submodule("single_transformer_blocks.0.proj_out")
    FLUX_WRITTEN["transformer"]["single_transformer_blocks.0.proj_out"]["in_features"] = proj.in_features
    check(small, FLUX_WRITTEN, tmp_path)


@pytest.mark.parametrize("modules", [[], {"conv_in": 3}, {"nowhere": {"becomes": "bias"}}, {3: {}}])
def test_what_was_no_structure_is_none(modules: Any, model: PipelineModel, tmp_path: Path) -> None:
    from prunelab.core.errors import Refusal

    without(model, T2I[:1]).save(tmp_path)
    file = tmp_path / "unet" / "config.json"
    config = json.loads(file.read_text())
    config["structure"] = {"version": 1, "base": "UNet2DConditionModel", "modules": modules}
    file.write_text(json.dumps(config))
    with pytest.raises(Refusal, match="unet"):
        model.reopened(tmp_path)
