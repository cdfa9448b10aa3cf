"""The control from scratch has the pruned model's shape and not one of its numbers."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.scores import Plan
from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.scratch import forget
from prunelab.surgery.slimming import slim
from prunelab.surgery.zeros import hold_zeros, kept_weights

# Fixture of the model, granularity, whether bypasses stand in, and a class that has to be in what is left.
CASES = {
    "heads, of one attention all": ("model", "head", False, "Bias"),
    "neurons": ("model", "neuron", False, "Linear"),
    "channels": ("pixels", "channel", False, "Conv2d"),
    "groups of norms": ("pixels", "norm_group", False, "GroupNorm"),
    "blocks": ("model", "block", False, "Shortcut"),
    "operators with bypasses": ("pixels", "operator", True, "Bypass"),
    "heads of two streams": ("flux", "head", False, "Bias"),
    "modulations": ("flux", "modulation", False, "Scattered"),
}


def some(units: Sequence[Unit]) -> Plan:
    """Of every second unit one element of each run goes; of the first all, where that can be."""
    plan = {unit.name: torch.ones(unit.elements, dtype=torch.bool) for unit in units}
    for unit in units[::2]:
        keep = plan[unit.name].view(max(unit.runs, 1), -1)
        keep[:, 0] = False
    if units[0].granularity in ("head", "modulation"):
        plan[units[0].name][1 if units[0].granularity == "modulation" else 0 :] = False
    return plan


def numbers(module: nn.Module) -> dict[str, Tensor]:
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in named if tensor.is_floating_point()}


def donors(component: nn.Module, units: Sequence[Unit]) -> list[nn.Module]:
    """The trained component and one of the same shape with other numbers, cut alike; bypasses are of either.

    Norms of some fixtures hold the ones and zeros that they would start from: both are moved off these.
    """
    cut, generator = [], torch.Generator().manual_seed(5)
    for scale in (0.01, 1.0):
        donor = copy.deepcopy(component)
        for module in (donor, *(unit.gate.bypass for unit in units if unit.gate.bypass is not None)):
            for tensor in [*module.parameters(), *module.buffers()]:
                if tensor.is_floating_point():
                    tensor.data += scale * torch.randn(tensor.shape, generator=generator)
        cut.append(slim(donor, units, some(units)))
    return cut


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


@pytest.mark.parametrize(("fixture", "granularity", "bypasses", "kind"), CASES.values(), ids=CASES.keys())
def test_nothing_of_the_donor_is_left(
    request: pytest.FixtureRequest, fixture: str, granularity: str, bypasses: bool, kind: str
) -> None:
    model: Any = request.getfixturevalue(fixture)
    units = model.units([granularity], ["denoiser"], bypasses=bypasses)
    students = donors(model.components["denoiser"], units)
    assert kind in {type(module).__name__ for module in students[0].modules()}
    before = [numbers(student) for student in students]
    state = torch.random.get_rng_state()
    for student in students:
        forget(student, seed=3)
    assert torch.equal(state, torch.random.get_rng_state())
    first, second = map(numbers, students)
    for name, drawn in first.items():
        assert torch.isfinite(drawn).all(), name
        assert torch.equal(drawn, second[name]), f"{name} depends on the donor"
        assert drawn.shape == before[0][name].shape
        assert not any((drawn == old[name]).any() for old in before), f"some of {name} is the donor's"
        if drawn.numel() > 400 and drawn.std() > 0:  # norms start at 1 and 0
            assert abs(correlation(drawn, before[0][name])) < 0.25, f"{name} is like the donor's"


def test_a_reopened_student_starts_as_the_one_in_memory(model: PipelineModel, tmp_path: Path) -> None:
    units = model.units(["head"], ["denoiser"])
    student = slim(model.components["denoiser"], units, some(units))
    model.with_components({"denoiser": student}).save(tmp_path)
    reopened = model.reopened(tmp_path).components["denoiser"]
    for each in (student, reopened):
        forget(each, seed=0)
    one, other = numbers(student), numbers(reopened)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_layer_starts_by_its_name_and_not_by_its_place() -> None:
    def two() -> nn.Module:
        return nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})

    whole, part = two(), two()
    del part["a"]
    forget(whole, seed=1)
    forget(part, seed=1)
    assert torch.equal(whole["b"].weight, part["b"].weight)
    assert not torch.equal(whole["a"].weight, whole["b"].weight)


def test_fixed_random_features_are_drawn_anew() -> None:
    """NCSN++'s are a parameter of a class without ``reset_parameters``."""
    unet = UNet2DModel(
        sample_size=8, block_out_channels=(8,), norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), time_embedding_type="fourier",
    )  # fmt: skip
    before = numbers(unet)
    forget(unet, seed=0)
    after = numbers(unet)
    assert not torch.equal(after["time_proj.weight"], before["time_proj.weight"])
    assert after["time_proj.weight"].std() > 4  # as the class scales them


def test_what_does_not_say_how_it_starts_is_refused() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(3))

    with pytest.raises(Refusal, match=r"Own inner.table does not say how it starts.*reset_parameters"):
        forget(nn.ModuleDict({"inner": Own()}), seed=0)


def test_single_weights_that_went_stay_zero(model: PipelineModel) -> None:
    units = model.units(["weight"], ["denoiser"])[:2]
    plan = {unit.name: torch.arange(unit.elements) % 2 == 0 for unit in units}
    student = slim(model.components["denoiser"], units, plan)
    kept = kept_weights(student)
    forget(student.requires_grad_(True), seed=0)
    hold_zeros(student, kept)
    for unit in units:
        weight = student.get_parameter(unit.slices[0].parameter)
        assert torch.equal(weight.flatten() == 0, ~plan[unit.name])
