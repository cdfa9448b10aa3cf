"""Slimming channels: against gating where that is exact, against torch-pruning's own surgery, and on disk."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_pruning
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from families import FAMILIES
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import prunelab
from prunelab.core.draws import generator
from prunelab.core.protocols import Model
from prunelab.core.scores import keep_all
from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.prune import slimmed
from prunelab.surgery.carried import structure_of
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.slimming import slim

ROUND_OFF = 2e-5  # of float32 activations of order one
GRANULARITIES = ("channel", "free_channel", "norm_group")


def small_unet() -> UNet2DModel:
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
        resnet_time_scale_shift="scale_shift",
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )


@pytest.fixture(scope="module")
def drawn() -> PipelineModel:
    """An unconditional model with skip connections of two widths, attention of several heads and samplers."""
    pipeline = DDPMPipeline(small_unet(), DDPMScheduler(num_train_timesteps=100))
    return PipelineModel("pixels", pipeline, "a small U-Net")


@pytest.fixture(params=["model", "drawn", "pixels", "latents"])
def either(request: pytest.FixtureRequest) -> Model:
    found: Model = request.getfixturevalue(request.param)
    return found


def random_plan(units: list[Unit], share: float) -> dict[str, Tensor]:
    """As many of each run as the share says, at least one stays; which ones is drawn."""
    plan = {}
    for unit in units:
        length = unit.elements // unit.runs
        ranks = torch.rand(unit.runs, length, generator=generator(3, 0, unit.name)).argsort(1).argsort(1)
        plan[unit.name] = (ranks >= min(round(length * share), length - 1)).flatten()
    return plan


def inputs_of(model: Model) -> dict[str, Any]:
    random = generator(0, 0, "inputs")
    made = model.example_inputs("denoiser", 3)
    made = {
        k: torch.randn(v.shape, generator=random) if v.is_floating_point() else v for k, v in made.items()
    }
    return {**made, "timestep": torch.tensor([1, 40, 90])}


@torch.no_grad()
@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_gate_equals_slim_where_units_say_so(either: Model, granularity: str, share: float) -> None:
    units = [unit for unit in either.units([granularity], ["denoiser"]) if unit.exact]
    assert len(units) > 1
    plan, root, inputs = random_plan(units, share), either.components["denoiser"], inputs_of(either)
    with gated({"denoiser": root}, units, gates_of(plan)):
        simulated = root(**inputs)[0]
    smaller = slim(root, units, plan)(**inputs)[0]
    assert (simulated - smaller).abs().max() <= ROUND_OFF * max(1, float(simulated.abs().max()))
    assert (simulated - root(**inputs)[0]).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("name", ["consistency", "deepfloyd_if", "kandinsky_22", "latent_consistency"])
def test_channels_of_every_kind_of_condition_go(name: str) -> None:
    """A table of classes, a pooled text, a picture without a text, a guidance; samplers without weights."""
    small = FAMILIES[name]()
    model = PipelineModel(name, small.pipeline, name, call=small.call)
    units, root = model.units(["channel"], ["denoiser"]), model.components["denoiser"]
    inputs = model.example_inputs("denoiser", 1)
    inputs["sample"] = torch.randn(inputs["sample"].shape, generator=generator(0, 0, "inputs"))
    plan, dense = random_plan(units, 0.5), root(**inputs)[0]
    made = slim(root, units, plan)(**inputs)[0]
    assert made.shape == dense.shape
    assert (made - dense).abs().max() > 1e-3
    exact = [unit for unit in units if unit.exact]
    with gated({"denoiser": root}, exact, gates_of(plan)):
        simulated = root(**inputs)[0]
    torch.testing.assert_close(slim(root, exact, plan)(**inputs)[0], simulated)


@torch.no_grad()
def test_through_a_norm_gating_is_not_slimming_and_units_say_so(either: Model) -> None:
    unit = next(u for u in either.units(["channel"], ["denoiser"]) if u.path.endswith("resnets.0.conv1"))
    plan, root, inputs = random_plan([unit], 0.5), either.components["denoiser"], inputs_of(either)
    with gated({"denoiser": root}, [unit], gates_of(plan)):
        simulated = root(**inputs)[0]
    difference = (simulated - slim(root, [unit], plan)(**inputs)[0]).abs().max()
    assert not unit.exact
    assert difference > 10 * ROUND_OFF


@torch.no_grad()
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_slimming_equals_torch_pruning_doing_it(either: Model, share: float) -> None:
    """The same channels taken out by torch-pruning, group by group, give the same network."""
    units, inputs = either.units(["channel"], ["denoiser"]), inputs_of(either)
    root = either.components["denoiser"]
    plan = random_plan(units, share)
    smaller = slim(root, units, plan)
    theirs = _pruned_by_torch_pruning(root, units, plan, inputs)
    assert {n: p.shape for n, p in smaller.named_parameters()} == {
        n: p.shape for n, p in theirs.named_parameters()
    }
    expected = theirs(**inputs)[0]
    assert (smaller(**inputs)[0] - expected).abs().max() <= ROUND_OFF * max(1, float(expected.abs().max()))


def _pruned_by_torch_pruning(
    root: nn.Module, units: list[Unit], plan: dict[str, Tensor], inputs: dict[str, Any]
) -> nn.Module:
    theirs = copy.deepcopy(root).requires_grad_(True)
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            theirs, inputs, output_transform=lambda output: output[0], verbose=False
        )
    for unit in units:
        source = theirs.get_submodule(unit.path)
        prune = graph.get_pruner_of_module(source).prune_out_channels
        halves = range(0, source.weight.shape[0], unit.elements)
        gone = (~plan[unit.name]).nonzero().flatten().tolist()
        if gone:
            graph.get_pruning_group(source, prune, [half + i for half in halves for i in gone]).prune()
    for module in theirs.modules():
        if isinstance(module, Upsample2D | Downsample2D):
            module.channels = module.conv.in_channels
    return theirs


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_sparsity_zero_is_dense_bitwise(either: Model, granularity: str) -> None:
    units = either.units([granularity], ["denoiser"])
    smaller = slim(either.components["denoiser"], units, keep_all(units))
    assert structure_of(smaller) is None
    dense = either.components["denoiser"].state_dict()
    assert all(torch.equal(value, dense[name]) for name, value in smaller.state_dict().items())


def test_uneven_and_empty_runs_are_an_error(model: PipelineModel) -> None:
    unit = next(u for u in model.units(["channel"], ["denoiser"]) if u.path == "conv_in")
    for gone in ([0], range(unit.elements)):
        plan = keep_all([unit])
        plan[unit.name][list(gone)] = False
        with pytest.raises(ValueError, match="8 runs that must keep equally many"):
            slim(model.components["denoiser"], [unit], plan)


@torch.no_grad()
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_saved_equals_loaded(either: Model, granularity: str, tmp_path: Path) -> None:
    units = either.units([granularity], ["denoiser"])
    smaller = slimmed(either, units, random_plan(units, 0.4))
    inputs = inputs_of(either)
    before = smaller.components["denoiser"](**inputs)[0]
    smaller.save(tmp_path)
    reopened = either.reopened(tmp_path)
    assert torch.equal(before, reopened.components["denoiser"](**inputs)[0])
    pipeline = prunelab.load_pruned(tmp_path)
    assert torch.equal(before, pipeline.unet(**inputs)[0])
    assert not torch.equal(before, either.components["denoiser"](**inputs)[0])


@pytest.mark.parametrize("either", ["model", "latents"], indirect=True)
def test_plain_diffusers_opens_it_when_asked_to_trust_its_code(either: Model, tmp_path: Path) -> None:
    units = either.units(["channel"], ["denoiser"])
    smaller = slimmed(either, units, random_plan(units, 0.4))
    smaller.save(tmp_path / "model")
    inputs = inputs_of(either)
    save_file(inputs, tmp_path / "inputs")
    script = """
import sys
sys.modules["prunelab"] = sys.modules["torch_pruning"] = None
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file
folder, inputs, out, again = sys.argv[1:]
@torch.no_grad()
def answer(folder):
    pipeline = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
    return pipeline, pipeline.unet(**load_file(inputs))[0].contiguous()
pipeline, first = answer(folder)
pipeline.save_pretrained(again)
save_file({"first": first, "second": answer(again)[1]}, out)
"""
    arguments = [str(tmp_path / name) for name in ("model", "inputs", "after.safetensors", "again")]
    subprocess.run(
        [sys.executable, "-c", script, *arguments], check=True, cwd=tmp_path, env=_environment(tmp_path)
    )
    with torch.no_grad():
        before = smaller.components["denoiser"](**inputs)[0]
    after = load_file(tmp_path / "after.safetensors")
    assert torch.equal(before, after["first"])
    assert torch.equal(before, after["second"])  # saved once more by plain diffusers


def _environment(home: Path) -> dict[str, str]:
    import os

    return {**os.environ, "HF_HOME": str(home / "hub"), "HF_MODULES_CACHE": str(home / "modules")}


def test_structures_are_json_with_the_new_widths(model: PipelineModel) -> None:
    units = [u for u in model.units(["channel"], ["denoiser"]) if u.path.endswith("attentions.0.proj_in")]
    plan = random_plan(units, 0.5)
    (step,) = json.loads(json.dumps(structure_of(slim(model.components["denoiser"], units, plan))))["steps"]
    block = "down_blocks.0.attentions.0"
    assert step[f"{block}.proj_in"] == {"out_channels": 16}
    assert step[f"{block}.transformer_blocks.0.norm1"] == {"normalized_shape": 16}
