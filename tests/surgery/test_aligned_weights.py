"""Where a tensor starts in its file changes no result: opened models have their weights in memory."""

import copy
import json
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from prunelab.core.draws import generator
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery import portable
from prunelab.surgery.slimming import slim

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
ALIGNMENT = 64  # bytes, of what torch allocates


def shifted(file: Path) -> None:
    """Make the header one byte longer, so that no tensor starts where it did; its content stays."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length] + b" " * (1 + -(8 + length + 1) % 4 + 1)
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])


def misplaced(module: nn.Module) -> list[str]:
    return [name for name, tensor in module.state_dict().items() if tensor.data_ptr() % ALIGNMENT]


@pytest.fixture(scope="module")
def drawn() -> PipelineModel:
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1,
        norm_num_groups=4, attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    return PipelineModel("drawn", DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=100)), "")


@torch.no_grad()
def answer(module: nn.Module) -> Tensor:
    value = torch.randn(3, 3, 8, 8, generator=generator(0, 0, "x"))
    found: Tensor = module(value, torch.tensor([1, 40, 90]))[0]
    return found


@pytest.mark.parametrize("pruned", [False, True])
def test_opened_equals_saved_wherever_the_weights_lie(
    drawn: PipelineModel, pruned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = drawn.units(["head", "channel"], ["denoiser"])[: 2 if pruned else 0]
    plan = {unit.name: torch.arange(unit.elements) % 2 == 0 for unit in units}
    small = slim(drawn.components["denoiser"], units, plan)
    model = drawn.with_components({"denoiser": small})
    model.save(tmp_path)
    shifted(tmp_path / WEIGHTS)
    opened = model.reopened(tmp_path).components["denoiser"]
    assert misplaced(opened) == []
    assert torch.equal(answer(opened), answer(small))
    assert torch.equal(answer(copy.deepcopy(opened)), answer(small))
    if pruned:  # by diffusers alone: the class that the folder carries is asked to open it
        monkeypatch.setitem(sys.modules, portable.MODULE, portable)
        kind = getattr(portable, json.loads((tmp_path / "unet" / "config.json").read_text())["_class_name"])
        for options in ({}, {"disable_mmap": True}):
            assert misplaced(kind.from_pretrained(tmp_path / "unet", **options)) == []
        unet, found = kind.from_pretrained(tmp_path / "unet", output_loading_info=True)
        assert misplaced(unet) == found["missing_keys"] == []


def test_the_file_may_change_once_a_model_is_open(drawn: PipelineModel, tmp_path: Path) -> None:
    drawn.save(tmp_path)
    opened = drawn.reopened(tmp_path).components["denoiser"]
    before = answer(opened)
    with (tmp_path / WEIGHTS).open("r+b") as file:
        file.seek(20000)
        file.write(b"\x7f" * 10000)
    assert torch.equal(answer(opened), before)


def test_tied_parameters_stay_tied() -> None:
    linear = nn.Linear(3, 3)
    module = nn.ModuleDict({"one": linear, "two": nn.Linear(3, 3)})
    module["two"].weight = linear.weight
    assert portable.settled(module)["two"].weight is linear.weight
