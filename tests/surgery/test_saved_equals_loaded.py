"""A saved pruned model is the model that was saved: here through prunelab."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

import prunelab
from prunelab.core.draws import generator
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.prune import slimmed

MIXED = (["operator"], ["block"], ["head", "neuron"])


def pruned(model: Model, granularity: list[str], components: list[str]) -> Model:
    units = model.units(granularity, components)
    plan = {u.name: torch.rand(u.elements, generator=generator(5, 0, u.name)) > 0.3 for u in units}
    plan[units[0].name][:] = False
    return slimmed(model, units, plan)


def images(pipeline: DiffusionPipeline) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.randn(2, 4, 8, 8, generator=generator(0, 0, "saved"))
    prompts = ["a red seven on a blue background", "a white two on a black background"]
    made = pipeline(prompts, latents=latents, num_inference_steps=2, guidance_scale=2.0, output_type="pt")
    return made.images


@torch.no_grad()
@pytest.mark.parametrize("granularity", [["operator"], ["block"], ["head"]], ids="+".join)
def test_unconditional_models_are_bit_identical_too(
    unconditional: Model, granularity: list[str], tmp_path: Path
) -> None:
    """Reopened by the model's own class and by diffusers, every component pruned that has such units."""
    components = [name for name in unconditional.components if unconditional.units(granularity, [name])]
    small = pruned(unconditional, granularity, components)
    small.save(tmp_path)
    noise = torch.randn(2, *unconditional.latent_shape, generator=generator(0, 0, "saved"))

    def drawn(model: Model) -> Tensor:
        return model.decode(model.sample(None, noise, 3, 1.0)[-1])

    before = drawn(small)
    assert torch.equal(before, drawn(small.reopened(tmp_path)))
    opened = type(small)("opened", prunelab.load_pruned(tmp_path), "")
    assert torch.equal(before, drawn(opened))
    assert not torch.equal(before, drawn(unconditional))


@pytest.mark.parametrize("components", [["denoiser"], ["denoiser", "text_encoder"]], ids="+".join)
@pytest.mark.parametrize("granularity", MIXED, ids="+".join)
def test_load_pruned_is_bit_identical(
    model: PipelineModel, granularity: list[str], components: list[str], tmp_path: Path
) -> None:
    small = pruned(model, granularity, components)
    before = images(small.pipeline)
    small.save(tmp_path / "model")
    reopened = prunelab.load_pruned(tmp_path / "model")
    assert torch.equal(before, images(reopened))
    assert not torch.equal(before, images(model.pipeline))
    assert not [
        file for file in (tmp_path / "model").rglob("*") if file.suffix in (".bin", ".pt", ".pkl", ".pth")
    ]


def test_a_structure_of_another_version_is_refused(model: PipelineModel, tmp_path: Path) -> None:
    small = pruned(model, ["head"], ["denoiser"])
    small.save(tmp_path)
    config = tmp_path / "unet" / "config.json"
    content = json.loads(config.read_text())
    content["structure"]["version"] = 99
    config.write_text(json.dumps(content))
    with pytest.raises(Refusal, match="version 99"):
        prunelab.load_pruned(tmp_path)


def test_missing_and_broken_folders_are_one_line(model: PipelineModel, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"model_index\.json"):
        prunelab.load_pruned(tmp_path / "nowhere")
    small = pruned(model, ["head"], ["denoiser"])
    small.save(tmp_path)
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(Refusal, match="broken or incomplete") as error:
        prunelab.load_pruned(tmp_path)
    assert "\n" not in str(error.value)


def test_equal_models_are_equal_files_that_name_no_machine(model: PipelineModel, tmp_path: Path) -> None:
    small = pruned(model, ["head"], ["denoiser"])
    small.save(tmp_path / "model")
    reopened = model.reopened(tmp_path / "model")
    reopened.save(tmp_path / "again")
    names = sorted(path.relative_to(tmp_path / "model") for path in (tmp_path / "model").rglob("*.*"))
    for name in [name for name in names if name.parts[0] != "tokenizer"]:  # it keeps how it was last called
        first, second = (tmp_path / folder / name for folder in ("model", "again"))
        assert first.read_bytes() == second.read_bytes(), name
        assert str(tmp_path).encode() not in first.read_bytes()
