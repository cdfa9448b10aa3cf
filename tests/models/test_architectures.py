"""The folders of published architectures: as large as their authors say, and as the docs do."""

import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import pytest
from diffusers import DiffusionPipeline
from omegaconf import OmegaConf
from recording import first_call

import prunelab
from prunelab.costs.component import model_costs
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery.skeletons import skeleton

FOLDERS = Path(prunelab.__file__).parent / "architectures"
PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
UNITS = {"M": 1e6, "B": 1e9}
# name, pipeline, denoiser, counted in millions, published with its unit and perhaps a note
ROW = re.compile(
    r"^\| `(\w+)` \| (\w+) \| (\w+) \| ([\d.]+) \| ([\d.]+)([MB])(?: \[(\d)\])? \|", re.MULTILINE
)


class Row(NamedTuple):
    pipeline: str
    denoiser: str
    counted: str
    published: str
    unit: str
    note: str


ROWS = {name: Row(*rest) for name, *rest in ROW.findall(PAGE.read_text("utf-8"))}


@cache
def opened(name: str) -> DiffusionPipeline:
    return skeleton(FOLDERS / name)


def size(name: str, *left_out: str) -> int:
    """The denoiser's parameters without those whose names hold one of ``left_out``."""
    denoiser = getattr(opened(name), ROWS[name].denoiser)
    return sum(
        p.numel() for key, p in denoiser.named_parameters() if not any(each in key for each in left_out)
    )


def test_the_page_lists_every_folder() -> None:
    assert sorted(ROWS) == sorted(folder.name for folder in FOLDERS.iterdir())


@pytest.mark.parametrize("name", ROWS)
def test_sizes_are_the_published_ones(name: str) -> None:
    row = ROWS[name]
    assert type(opened(name)).__name__ == row.pipeline
    assert f"{size(name) / 1e6:.2f}" == row.counted
    digits = len(row.published.partition(".")[2])
    if not row.note:
        assert f"{size(name) / UNITS[row.unit]:.{digits}f}" == row.published


def test_what_the_notes_say_makes_up_the_difference() -> None:
    """DiT's embeddings are counted once, and PixArt's of the picture's size not at all."""
    embeddings = size("dit_xl_2") - size("dit_xl_2", ".norm1.emb.")
    assert f"{(size('dit_xl_2') - embeddings * 27 / 28) / 1e6:.0f}" == "675"
    assert f"{size('pixart_alpha', 'resolution_embedder', 'aspect_ratio_embedder') / 1e6:.1f}" == "610.9"
    everything = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in opened("audioldm2").components.items()
        if hasattr(part, "parameters")
    }
    assert f"{sum(everything.values()) / 1e9:.1f}" == "1.1"


CALLS: dict[str, tuple[dict[str, int], dict[str, tuple[int, ...]]]] = {
    "wan": (
        {"height": 480, "width": 832, "num_frames": 81},
        {"hidden_states": (1, 16, 21, 60, 104), "encoder_hidden_states": (1, 512, 4096), "timestep": (1,)},
    ),
    "sdxl": (
        {"height": 1024, "width": 1024},
        {"sample": (2, 4, 128, 128), "encoder_hidden_states": (2, 77, 2048), "timestep": ()},
    ),
    "stable_audio_open": (
        {"num_waveforms_per_prompt": 1},
        {"hidden_states": (2, 64, 1024), "encoder_hidden_states": (2, 128 + 2, 768), "timestep": (1,)},
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_their_pipelines_say_what_the_denoiser_is_given_without_a_number(name: str) -> None:
    """Text encoders that look at their masks and schedulers that keep their levels on the CPU among them."""
    size, expected = CALLS[name]
    pipeline = opened(name)
    pipeline.set_progress_bar_config(disable=True)
    given = first_call(pipeline, ROWS[name].denoiser, {"prompt": "a dog", "num_inference_steps": 2, **size})
    assert {key: given[key] for key in expected} == expected


def test_every_folder_has_a_preset_that_asks_its_pipeline_what_it_takes() -> None:
    presets = {
        file.stem: OmegaConf.load(file).open for file in (PAGE.parents[1] / "conf" / "model").glob("*.yaml")
    }
    published = {name: preset for name, preset in presets.items() if "architecture" in preset}
    assert {preset.architecture for preset in published.values()} == set(ROWS)
    for name, preset in published.items():
        taken = inspect.signature(getattr(diffusers, ROWS[preset.architecture].pipeline).__call__).parameters
        assert set(preset.get("call") or ()) <= set(taken), name
        assert preset.name == name


def test_they_hold_configurations_alone() -> None:
    assert {file.suffix for file in FOLDERS.rglob("*") if file.is_file()} == {".json"}
    assert max(file.stat().st_size for file in FOLDERS.rglob("*.json")) < 4096


def test_shapes_alone_are_asked_of_an_empty_prompt_once() -> None:
    """Its answer and what the text encoder is given serve a pruned denoiser as well."""
    model, read = PipelineModel.open("sd15", architecture="sd15", shapes=True), []
    encode = model.pipeline.encode_prompt

    def counted(*args: Any, **kwargs: Any) -> Any:
        read.append(1)
        return encode(*args, **kwargs)

    object.__setattr__(model.pipeline, "encode_prompt", counted)
    model_costs(model)
    assert len(read) == 1
    other = model.with_components({"denoiser": model.components["denoiser"]})
    assert other.example_inputs("denoiser", 1).keys() == model.example_inputs("denoiser", 1).keys()
    assert len(read) == 1


def test_a_fifth_of_the_heads_and_neurons_of_sdxl_is_17_percent_of_it() -> None:
    """What EcoDiff calls 20 % of SDXL (arXiv 2412.02852), in parameters of its U-Net."""
    model = PipelineModel.open("sdxl", architecture="sdxl", shapes=True)
    root = model.components["denoiser"]
    units = model.units(["head", "neuron"], ["denoiser"])
    held = sum(unit.elements * unit.parameters_per_element(root) for unit in units)
    assert round(0.2 * held / sum(each.numel() for each in root.parameters()), 3) == 0.170
