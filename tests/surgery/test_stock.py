"""Pruned models that are stock configurations: saved without any code, opened by plain diffusers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

import prunelab
from prunelab.core.errors import Refusal
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.prune import slimmed
from prunelab.surgery.portable import settled

# Family -> what goes, one time after the other: granularity, component, and how many units lose all of it.
CUT = {
    "wan": [("block", "denoiser", 1), ("neuron", "denoiser", None)],
    "flux_dev": [("block", "denoiser", 1), ("neuron", "text_encoder_2", None)],
    "dit": [("block", "denoiser", 1)],
    "ltx_video": [("neuron", "text_encoder", None), ("block", "denoiser", 1)],
}


def cut(model: Any, granularity: str, component: str, whole: int | None) -> Any:
    """The first ``whole`` units gone, or the second half of every unit."""
    units = model.units([granularity], [component])
    if granularity == "block" and type(model.pipeline).__name__ == "FluxPipeline":
        units = [unit for unit in units if "single" in unit.path]
    plan = {unit.name: torch.ones(unit.elements, dtype=torch.bool) for unit in units}
    for number, unit in enumerate(units):
        if whole is None:
            plan[unit.name][unit.elements // 2 :] = False
        elif number < whole:
            plan[unit.name][:] = False
    return slimmed(model, units, plan)


def drawn(pipeline: Any, small: Any) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    return torch.as_tensor(pipeline(**small.arguments(), return_dict=False)[0])


@torch.no_grad()
@pytest.mark.parametrize("name", CUT)
def test_it_opens_without_any_code_bit_for_bit(
    name: str, family: Callable[[str], Any], tmp_path: Path
) -> None:
    small, folder = family(name)
    model: Any = PipelineModel.open(name, str(folder), call=small.call)
    for granularity, component, whole in CUT[name]:
        model = cut(model, granularity, component, whole)
    model.save(tmp_path / "pruned")
    prunelab.save_stock(tmp_path / "pruned", tmp_path / "stock")
    assert not list((tmp_path / "stock").rglob("*.py"))
    again = DiffusionPipeline.from_pretrained(tmp_path / "stock")
    for each in model.attributes.values():  # diffusers leaves tensors where they lie in the file
        settled(getattr(again, each))
    for each in model.components:
        ours, theirs = model.components[each], getattr(again, model.attributes[each])
        assert type(theirs).__module__.startswith(("diffusers", "transformers"))
        assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert torch.equal(drawn(model.pipeline, small), drawn(again, small))


def test_what_is_no_stock_configuration_is_refused(model: PipelineModel, tmp_path: Path) -> None:
    """A U-Net's heads are its channels' number, which the blocks share."""
    cut(model, "head", "denoiser", None).save(tmp_path / "pruned")
    with pytest.raises(Refusal, match="the pruned unet is no configuration of UNet2DConditionModel"):
        prunelab.save_stock(tmp_path / "pruned", tmp_path / "stock")
    assert not (tmp_path / "stock").exists()
