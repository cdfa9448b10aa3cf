"""A component opens with exactly its own weights, as numbers, or is refused in one line that names it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet2DModel, VQModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, T5Config, T5EncoderModel, T5ForConditionalGeneration

import prunelab
from prunelab.core.errors import Refusal
from prunelab.models.folders import EMBEDDED
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.prune import slimmed
from prunelab.surgery.components import open_component

Tensors = dict[str, Tensor]
KINDS = {
    "tiny_t2i/text_encoder": CLIPTextModel,
    "tiny_t2i/vae": AutoencoderKL,
    "tiny_t2i/unet": UNet2DConditionModel,
    "tiny_uig/unet": UNet2DModel,
    "tiny_uig_latent/vqvae": None,
}


@pytest.fixture(params=KINDS)
def component(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, type]:
    """The folder of one component, and its class."""
    folder = shutil.copytree(EMBEDDED / request.param, tmp_path / Path(request.param).name)
    kind = (
        KINDS[request.param]
        or {"VQModel": VQModel, "AutoencoderKL": AutoencoderKL}[
            json.loads((folder / "config.json").read_text())["_class_name"]
        ]
    )
    return folder, kind


def weights(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


def change(folder: Path, edit: Callable[[Tensors, str], object]) -> str:
    """Edit the tensors, of which one matrix is named; its name."""
    tensors = load_file(weights(folder))
    name = sorted(name for name, tensor in tensors.items() if tensor.ndim > 1)[-1]
    edit(tensors, name)
    save_file(tensors, weights(folder), {"format": "pt"})
    return name


def refusal(folder: Path, kind: type) -> str:
    with pytest.raises(Refusal) as error:
        open_component(folder, kind)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    return str(error.value)


def missing(tensors: Tensors, name: str) -> None:
    del tensors[name]


def renamed(tensors: Tensors, name: str) -> None:
    tensors["a.weight"] = tensors.pop(name)


def unexpected(tensors: Tensors, name: str) -> None:
    tensors[name.replace("weight", "scale")] = torch.ones(3)


def reshaped(tensors: Tensors, name: str) -> None:
    tensors[name] = tensors[name][1:].clone()


def integers(tensors: Tensors, name: str) -> None:
    tensors[name] = torch.ones(tensors[name].shape, dtype=torch.int8)


def not_a_number(tensors: Tensors, name: str) -> None:
    tensors[name].view(-1)[3] = torch.nan


def infinite(tensors: Tensors, name: str) -> None:
    tensors[name] = torch.full(tensors[name].shape, 1e300, dtype=torch.float64)


def none_at_all(tensors: Tensors, name: str) -> None:
    tensors.clear()


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (missing, "1 missing ({name})"),
        (renamed, "1 missing ({name})"),
        (unexpected, "1 not known to the model ({scale})"),
        (reshaped, "1 of another shape ({name})"),
        (integers, "{name} in {file} is stored as I8"),
        (not_a_number, "is not finite"),
        (infinite, "is not finite"),
        (none_at_all, " missing ("),
    ],
)
def test_tensors_that_do_not_fit(
    edit: Callable[[Tensors, str], object], told: str, component: tuple[Path, type]
) -> None:
    folder, kind = component
    name = change(folder, edit)
    expected = told.format(name=name, scale=name.replace("weight", "scale"), file=weights(folder).name)
    assert expected in refusal(folder, kind)


@pytest.mark.parametrize("content", [b"", b"\x05" * 1000, b"<html>", b"version https://git-lfs", None])
def test_what_is_no_safetensors_file(content: bytes | None, component: tuple[Path, type]) -> None:
    folder, kind = component
    file = weights(folder)
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    assert f"{file} is broken or incomplete" in refusal(folder, kind)


def test_pickles_variants_and_nothing(component: tuple[Path, type]) -> None:
    folder, kind = component
    file = weights(folder)
    variant = file.rename(file.with_suffix(".fp16.safetensors"))
    assert f"there is {variant.name}" in refusal(folder, kind)
    variant.rename(file.with_suffix(".bin"))
    assert "a pickle" in refusal(folder, kind)
    file.with_suffix(".bin").unlink()
    assert f"{file.name} is needed" in refusal(folder, kind)


def test_shards(component: tuple[Path, type]) -> None:
    folder, kind = component
    tensors = load_file(weights(folder))
    stem = weights(folder).name.removesuffix(".safetensors")
    weights(folder).unlink()
    names = [f"{stem}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    parts = {name: sorted(tensors)[number::2] for number, name in enumerate(names)}
    for name, held in parts.items():
        save_file({key: tensors[key] for key in held}, folder / name, {"format": "pt"})
    places = {key: name for name, held in parts.items() for key in held}
    index = folder / f"{stem}.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    opened = open_component(folder, kind)
    assert all(tensor.isfinite().all() for tensor in opened.parameters())
    (folder / names[1]).rename(folder / "elsewhere")
    assert f"lacks {names[1]} of the 2 shards" in refusal(folder, kind)
    index.write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    assert "outside of its folder" in refusal(folder, kind)
    for junk in ("", "[]", '{"weight_map": 3}', '{"weight_map": {"a": [1]}}', '{"weight_map": {"a": 1}}'):
        index.write_text(junk)
        assert "is no index of shards" in refusal(folder, kind)


def test_a_config_of_another_size_and_one_that_makes_no_sense(component: tuple[Path, type]) -> None:
    folder, kind = component
    config = json.loads((folder / "config.json").read_text())
    wide = "hidden_size" if "hidden_size" in config else "block_out_channels"
    other = config[wide] // 2 if wide == "hidden_size" else [width * 2 for width in config[wide]]
    (folder / "config.json").write_text(json.dumps({**config, wide: other}))
    assert "of another shape" in refusal(folder, kind)
    for junk in ({**config, wide: "wide"}, {**config, wide: -1}, {**config, wide: None}):
        (folder / "config.json").write_text(json.dumps(junk))
        refusal(folder, kind)
    (folder / "config.json").write_text("{")
    refusal(folder, kind)


def test_what_libraries_leave_out_or_tie_is_no_error(tmp_path: Path) -> None:
    """Positions that were stored once; a text encoder opened out of the larger model that it is a part of."""
    text = shutil.copytree(EMBEDDED / "tiny_t2i" / "text_encoder", tmp_path / "text_encoder")
    plain = open_component(text, CLIPTextModel).state_dict()

    def as_published(tensors: Tensors, name: str) -> None:
        for old in list(tensors):
            tensors[f"text_model.{old}"] = tensors.pop(old)
        tensors["text_model.embeddings.position_ids"] = torch.arange(16)[None]
        tensors["logit_scale"] = torch.ones(())
        tensors["vision_model.encoder.layers.0.mlp.fc1.weight"] = torch.ones(3)

    change(text, as_published)
    again = open_component(text, CLIPTextModel).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in plain.items())

    def with_one_layer_more(tensors: Tensors, name: str) -> None:
        layer = {name: tensor for name, tensor in tensors.items() if "layers.0" in name}
        tensors.update(
            {name.replace("layers.0", "layers.9"): tensor.clone() for name, tensor in layer.items()}
        )

    change(text, with_one_layer_more)
    assert "not known to the model" in refusal(text, CLIPTextModel)

    config = T5Config(vocab_size=20, d_model=24, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    for tied in (True, False):
        config.tie_word_embeddings = tied
        T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
        assert open_component(tmp_path / "t5", T5EncoderModel).get_submodule("shared") is not None


def test_models_refuse_before_they_work(tmp_path: Path) -> None:
    for model, name, component in (
        (PipelineModel, "tiny_t2i", "text_encoder"),
        (PipelineModel, "tiny_t2i", "vae"),
        (PipelineModel, "tiny_uig_latent", "vqvae"),
    ):
        folder = shutil.copytree(EMBEDDED / name, tmp_path / f"{name} {component}")
        lost = change(folder / component, missing)
        with pytest.raises(Refusal, match=rf"{component} do not belong to its config.json: .* \({lost}\)"):
            model.open("broken", str(folder))


def test_pruned_components_are_held_to_the_same(model: PipelineModel, tmp_path: Path) -> None:
    units = [*model.units(["head"], ["denoiser"]), *model.units(["operator"], ["text_encoder"])]
    plan = {unit.name: torch.ones(unit.elements, dtype=torch.bool) for unit in units}
    plan[units[0].name][0] = plan[units[-1].name][0] = False
    small = slimmed(model, units, plan)
    for component, attribute in (("denoiser", "unet"), ("text_encoder", "text_encoder")):
        for edit in (missing, unexpected, reshaped, not_a_number):
            folder = tmp_path / component / edit.__name__
            small.save(folder)
            change(folder / attribute, edit)
            with pytest.raises(Refusal, match=attribute) as error:
                prunelab.load_pruned(folder)
            assert "\n" not in str(error.value)


def test_an_index_that_is_none(tmp_path: Path) -> None:
    folder = shutil.copytree(EMBEDDED / "tiny_uig", tmp_path / "model")
    for junk in ("", "[]", "3", '{"_class_name": "DDPMPipeline", "unet": 3}', '{"unet": ["os", "system"]}'):
        (folder / "model_index.json").write_text(junk)
        with pytest.raises(Refusal) as error:
            prunelab.load_pruned(folder)
        assert "\n" not in str(error.value)
