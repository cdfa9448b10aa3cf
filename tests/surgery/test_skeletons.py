"""Pipelines from configurations alone: the shapes and classes of the saved ones, and what is refused."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from families import FAMILIES, Small
from recording import first_call
from torch import nn

from prunelab.core.errors import Refusal
from prunelab.costs.macs import macs
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery.skeletons import skeleton

Family = Callable[[str], tuple[Small, Path]]
Bare = Callable[[str], DiffusionPipeline]


def configurations(folder: Path, target: Path, tokenizers: bool = True) -> Path:
    """A copy of ``folder`` without a single weight, and without vocabularies unless ``tokenizers``."""

    def left_out(_: str, names: list[str]) -> list[str]:
        return [
            name
            for name in names
            if name.endswith(".safetensors") or (not tokenizers and "tokenizer" in name)
        ]

    shutil.copytree(folder, target, ignore=left_out)
    return target


def rewrite(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")


@pytest.fixture(scope="module")
def bare(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """The skeleton of a family on the meta device, from a folder without a single weight."""

    @cache
    def made(name: str) -> DiffusionPipeline:
        pipeline = skeleton(configurations(family(name)[1], tmp_path_factory.mktemp(name) / "model"))
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return made


def settings(pipeline: DiffusionPipeline) -> dict[str, Any]:
    """What is no component in model_index.json."""
    entries = pipeline.config.items()
    return {key: value for key, value in entries if key not in pipeline.components and key[0] != "_"}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_part_has_the_shapes_of_the_saved_one(name: str, family: Family, bare: Bare) -> None:
    small, made = family(name)[0], bare(name)
    assert type(made) is type(small.pipeline)
    for part, saved in small.pipeline.components.items():
        opened = getattr(made, part)
        if isinstance(saved, nn.Module):
            expected = {key: value.shape for key, value in saved.state_dict().items()}
            assert {key: value.shape for key, value in opened.state_dict().items()} == expected
            assert {value.device.type for value in [*opened.parameters(), *opened.buffers()]} == {"meta"}
        elif part != "feature_extractor":
            assert type(opened) is type(saved)
    assert settings(made) == settings(small.pipeline)


# These cut prompts to the tokens that they have, or leave out a mask that hides nothing: the skeleton's are
# of another length.
CUT = {"kandinsky_3", "latte", "z_image", "bria_fibo"}
# What these do before they call their denoiser is presumed wrongly.
BLIND = {
    "any_flow": "skips steps between equal times",
    "ernie_image": "makes room for as many tokens as a number says",
    "ace_step": "counts what belongs to whom",
}


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in BLIND])
def test_the_denoiser_is_called_with_the_same_shapes_without_a_number(
    name: str, family: Family, bare: Bare
) -> None:
    small, made = family(name)[0], bare(name)
    arguments = small.arguments()
    with torch.no_grad():
        expected = first_call(small.pipeline, small.denoiser, arguments)
        del arguments["generator"]  # random numbers have a device
        shapes = first_call(made, small.denoiser, arguments)
    assert shapes.keys() == expected.keys()
    assert (shapes == expected) is (name not in CUT)


def test_weights_are_drawn_from_the_seed_each_component_alone(family: Family, tmp_path: Path) -> None:
    folder = configurations(family("flux_dev")[1], tmp_path / "model")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, again, other = (skeleton(folder, "cpu", seed).transformer.state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    rewrite(folder / "model_index.json", text_encoder=[None, None], tokenizer=[None, None])
    alone = skeleton(folder, "cpu").transformer.state_dict()
    assert all(torch.equal(one[key], same[key]) for key in one for same in (again, alone))
    assert not torch.equal(one["proj_out.weight"], other["proj_out.weight"])


def test_what_a_class_leaves_unwritten_is_zero(family: Family) -> None:
    """Experts are torch.empty until a file fills them, and memory may hold anything."""
    folder = family("nucleus")[1]
    one, again = (skeleton(folder, "cpu").transformer.state_dict() for _ in range(2))
    assert all(torch.equal(one[key], again[key]) for key in one)
    experts = [value for key, value in one.items() if "experts" in key]
    assert experts
    assert not any(value.any() for value in experts)


@pytest.mark.parametrize("name", ["stable_diffusion_3", "qwen_image", "z_image", "sana"])
def test_placeholders_of_tokenizers_are_enough_to_encode_a_prompt(
    name: str, family: Family, tmp_path: Path
) -> None:
    small, folder = family(name)
    made = skeleton(configurations(folder, tmp_path / "model", tokenizers=False), "cpu")
    made.set_progress_bar_config(disable=True)
    called = made(**{**small.arguments(), "output_type": "latent"})[0]
    assert called.isfinite().all()


def test_placeholders_are_as_long_as_the_text_encoder_reads(family: Family, tmp_path: Path) -> None:
    folder = configurations(family("audioldm2")[1], tmp_path / "model", tokenizers=False)
    made = skeleton(folder)
    assert [type(made.tokenizer).__name__, type(made.tokenizer_2).__name__] == [
        "RobertaTokenizer",
        "T5Tokenizer",
    ]
    assert made.tokenizer_2.model_max_length == 512  # T5's configuration says nothing of positions
    assert made.tokenizer_2(["a red house", ""], padding=True).attention_mask == [[1, 1, 1, 1], [1, 0, 0, 0]]
    (folder / "tokenizer_2").mkdir()
    (folder / "tokenizer_2" / "tokenizer_config.json").write_text('{"model_max_length": 128}')
    assert skeleton(folder).tokenizer_2.model_max_length == 128


def test_clips_placeholder_fills_up_to_its_positions(family: Family, tmp_path: Path) -> None:
    made = skeleton(configurations(family("stable_diffusion")[1], tmp_path / "model", tokenizers=False))
    taken = made.tokenizer(["a"], padding="max_length", return_tensors="pt")
    assert taken.input_ids.tolist() == [[0] * 8]
    assert taken.attention_mask.tolist() == [[1, 1] + [0] * 6]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "another pipeline": ({"_class_name": "Elsewhere"}, "no pipeline of diffusers"),
    "code of the folder": ({"unet": ["its_own", "UNet"]}, "code that a folder carries is not run"),
    "another model": ({"unet": ["diffusers", "AutoencoderKL"]}, "broken or incomplete"),
    "no folder": ({"image_encoder": ["transformers", "CLIPModel"]}, "image_encoder has no config.json"),
    "no component": ({"unet": 3}, "broken or incomplete"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused_in_one_line(case: str, family: Family, tmp_path: Path) -> None:
    changes, reason = BROKEN[case]
    folder = configurations(family("stable_diffusion")[1], tmp_path / "model")
    rewrite(folder / "model_index.json", **changes)
    with pytest.raises(Refusal, match=reason) as refused:
        skeleton(folder)
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(find_spec("torchsde") is not None, reason="torchsde is installed: nothing is missing")
def test_a_class_whose_package_is_missing_is_refused_by_its_name(family: Family, tmp_path: Path) -> None:
    folder = configurations(family("stable_diffusion")[1], tmp_path / "model")
    rewrite(folder / "model_index.json", scheduler=["diffusers", "CosineDPMSolverMultistepScheduler"])
    with pytest.raises(Refusal, match="needs torchsde: pip install torchsde"):
        skeleton(folder)


def test_broken_files_are_refused_in_one_line(family: Family, tmp_path: Path) -> None:
    with pytest.raises(
        Refusal, match=r"no diffusers model at .*: path=FOLDER needs a folder with a model_index\.json"
    ):
        skeleton(tmp_path)
    folder = configurations(family("stable_diffusion")[1], tmp_path / "model")
    for file, content in {
        "unet/config.json": '{"block_out_channels": ["wide"]}',
        "scheduler/scheduler_config.json": "[]",
        "text_encoder/config.json": "{",
    }.items():
        before = (folder / file).read_text("utf-8")
        (folder / file).write_text(content)
        with pytest.raises(Refusal, match=str(Path(file).parent)):
            skeleton(folder)
        (folder / file).write_text(before)
    shutil.rmtree(folder / "scheduler")
    with pytest.raises(Refusal, match="scheduler"):
        skeleton(folder)


def test_a_model_that_is_asked_for_text_features_is_counted_by_them(
    family: Callable[[str], tuple[Small, Path]],
) -> None:
    """CLAP's forward pass would need a sound, which the pipeline never gives it."""
    small, folder = family("audioldm2")
    model = PipelineModel.open("audioldm2", str(folder), call=small.call, shapes=True)
    inputs = model.example_inputs("text_encoder", 1)
    assert "input_ids" in inputs
    spent = macs(model.components["text_encoder"], inputs)
    assert spent.by_module["text_model"] > 0
    assert spent.by_module["audio_model"] == 0
