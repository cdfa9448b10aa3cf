"""Which weights are units, and the published counts of Stable Diffusion 2.1."""

from pathlib import Path

import pytest
import torch
from torch import nn

from prunelab.core.errors import Refusal
from prunelab.models.pipeline import PipelineModel
from prunelab.walkers.walk import walk


@pytest.fixture(scope="module")
def sd21() -> PipelineModel:
    """The architecture without memory for its weights."""
    return PipelineModel.open("sd21", architecture="sd21", shapes=True)


def test_linear_weights_of_the_denoiser_are_all_units(model: PipelineModel) -> None:
    root = model.components["denoiser"]
    linear = [path for path, module in root.named_modules() if isinstance(module, nn.Linear)]
    units = walk("denoiser", root, ["weight"])
    assert [unit.path for unit in units] == linear
    for unit in units:
        weight = root.get_submodule(unit.path).weight
        assert unit.matrix == tuple(weight.shape)
        assert torch.equal(unit.views(dict(root.named_parameters()))[0][:, 0], weight.flatten())


def test_of_a_text_encoder_only_what_lies_in_its_blocks(model: PipelineModel) -> None:
    class WithProjection(type(model.components["text_encoder"])):  # type: ignore[misc]
        def __init__(self, config: object) -> None:
            super().__init__(config)
            self.projection = nn.Linear(64, 64)

    root = WithProjection(model.components["text_encoder"].config)
    units = walk("text_encoder", root, ["weight"])
    assert len(units) == 2 * 6
    assert all(".layers." in f".{unit.layer}" for unit in units)
    assert "projection" not in {unit.path for unit in units}


def test_blocks_of_the_denoiser_are_named(model: PipelineModel) -> None:
    units = model.units(["weight"], ["denoiser"])
    inside = {unit.path: unit.layer for unit in units if unit.layer}
    assert len(set(inside.values())) == 10
    assert all(path.startswith(f"{layer}.") and layer.split(".")[-2] == "transformer_blocks"
               for path, layer in inside.items())  # fmt: skip
    assert {unit.path for unit in units if not unit.layer} >= {"time_embedding.linear_1"}


def test_rows_of_a_convolution_are_its_output_channels(model: PipelineModel) -> None:
    unit = next(unit for unit in model.units(["conv_weight"], ["denoiser"]) if unit.path == "conv_in")
    assert unit.matrix == (32, 4 * 3 * 3)


def test_published_counts_of_stable_diffusion_2(sd21: PipelineModel) -> None:
    parameters = {name: sum(p.numel() for p in c.parameters()) for name, c in sd21.components.items()}
    assert parameters["denoiser"] == 865_910_724
    assert parameters["text_encoder"] == 340_387_840
    sizes = {
        name: [unit.elements for unit in sd21.units(["weight"], [name])]
        for name in ("denoiser", "text_encoder")
    }
    assert sum(sizes["denoiser"]) == 301_219_840
    assert sum(sizes["text_encoder"]) == 289_406_976
    zeros = sum(int(n * 0.475) for n in sizes["text_encoder"]) + sum(int(n * 0.35) for n in sizes["denoiser"])
    assert zeros == 242_895_184
    assert zeros / 1_206_298_564 == pytest.approx(0.2013, abs=1e-4)
    layers = {unit.layer for unit in sd21.units(["weight"], ["text_encoder"])}
    assert len(layers) == 23


def test_an_architecture_without_weights_can_only_be_planned(sd21: PipelineModel, tmp_path: Path) -> None:
    assert sd21.example_inputs("text_encoder", 1)["input_ids"].shape == (1, 77)
    for act in (lambda: sd21.save(tmp_path), lambda: sd21.to(torch.device("cpu"))):
        with pytest.raises(Refusal, match=r"without weights.*prunelab plan.*path=FOLDER"):
            act()
    with pytest.raises(Refusal, match="weights=random"):
        PipelineModel.open("sd21", architecture="sd21")
