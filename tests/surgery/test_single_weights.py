"""Single weights: gated, slimmed, saved and loaded models are the same function, bitwise."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import prunelab
from prunelab.core.draws import generator
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit
from prunelab.costs.zeroed import nominal, zeroed, zeros
from prunelab.engine.optimise import optimise
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.training_draws import Draws
from prunelab.schedules.schedule import Schedule
from prunelab.stages.prune import planned_costs, slimmed
from prunelab.surgery.carried import structure_of
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.zeros import hold_zeros, kept_weights
from prunelab.trainers.hardware import Hardware

PROMPTS = ["a red seven on a blue background", "a white two on a black background"]
GRANULARITIES = [["weight"], ["conv_weight"], ["weight", "conv_weight"]]


def chosen(model: PipelineModel, granularity: list[str]) -> tuple[list[Unit], dict[str, Tensor]]:
    units = model.units(granularity, ["text_encoder", "denoiser"])
    return units, {u.name: torch.rand(u.elements, generator=generator(7, 0, u.name)) > 0.4 for u in units}


@torch.no_grad()
def drawn(model: PipelineModel) -> Tensor:
    noise = torch.randn(2, *model.latent_shape, generator=generator(0, 0, "weights"))
    return model.sample(model.embed(PROMPTS), noise, 2, 2.0)


@pytest.mark.parametrize("granularity", GRANULARITIES, ids="+".join)
def test_gated_slimmed_saved_and_loaded_are_one(
    model: PipelineModel, granularity: list[str], tmp_path: Path
) -> None:
    units, plan = chosen(model, granularity)
    dense = drawn(model)
    with gated(model.components, units, gates_of(plan)):
        simulated = drawn(model)
    small = slimmed(model, units, plan)
    assert torch.equal(simulated, drawn(small))
    assert not torch.equal(simulated, dense)
    assert not any(map(structure_of, small.components.values()))
    small.save(tmp_path / "model")
    assert torch.equal(drawn(small), drawn(model.reopened(tmp_path / "model")))
    assert type(prunelab.load_pruned(tmp_path / "model").unet).__name__ == "UNet2DConditionModel"


def test_the_gate_leaves_the_parameters_where_they_were(model: PipelineModel) -> None:
    units, plan = chosen(model, ["weight"])
    before = dict(model.components["denoiser"].named_parameters())
    copies = {name: value.clone() for name, value in before.items()}
    with gated(model.components, units, gates_of(plan)):
        assert list(dict(model.components["denoiser"].named_parameters())) == list(before)
    after = dict(model.components["denoiser"].named_parameters())
    assert all(after[name] is before[name] and torch.equal(after[name], copies[name]) for name in before)
    linear = model.components["denoiser"].get_submodule(units[-1].path)
    assert linear.weight is dict(linear.named_parameters())["weight"]


def test_factors_are_differentiable_and_belong_to_the_whole_batch(model: PipelineModel) -> None:
    unit = model.units(["weight"], ["denoiser"])[0]
    factors = torch.ones(unit.elements, requires_grad=True)
    inputs = model.example_inputs("denoiser", 1)
    with gated(model.components, [unit], {unit.name: factors}):
        model.components["denoiser"](**inputs).sample.square().sum().backward()
    assert factors.grad is not None
    assert float(factors.grad.abs().sum()) > 0
    with (
        pytest.raises(ValueError, match="whole batch"),
        gated(model.components, [unit], {unit.name: torch.ones(2, unit.elements)}),
    ):
        pass


def test_zeros_are_counted_and_written_where_the_plan_says(model: PipelineModel) -> None:
    units, plan = chosen(model, ["weight"])
    small = slimmed(model, units, plan)
    expected = {"text_encoder": 0, "denoiser": 0}
    for unit in units:
        weight = small.components[unit.component].get_parameter(f"{unit.path}.weight").flatten()
        dense = model.components[unit.component].get_parameter(f"{unit.path}.weight").flatten()
        assert torch.equal(weight, torch.where(plan[unit.name], dense, torch.zeros(())))
        expected[unit.component] += int((~plan[unit.name]).sum())
    assert zeros(units, plan) == expected
    costs = planned_costs(model, units, plan)
    for name, component in small.components.items():
        assert costs[name]["nonzeros"] == sum(int((p != 0).sum()) for p in component.parameters())
    lost = zeroed(model.components["denoiser"], [u for u in units if u.component == "denoiser"], plan)
    assert lost <= expected["denoiser"]


def test_the_nominal_total_of_the_study() -> None:
    counts = {"text_encoder": 340_387_840, "denoiser": 865_910_724}
    published = {(0.475, 0.35): 0.385, (0.425, 0.3): 0.335, (0.45, 0.325): 0.360, (0.53, 0.07): 0.200}
    for (text, unet), total in published.items():
        asked = {"text_encoder": text, "denoiser": unet}
        assert nominal(counts, Sparsity(asked)) == pytest.approx(total, abs=5e-4)
    assert nominal(counts, Sparsity({"denoiser": 0.35})) == pytest.approx(0.35 * 865_910_724 / 1_206_298_564)
    assert nominal(counts, Sparsity(0.3)) == pytest.approx(0.3)


def test_zeros_stay_zero_in_training(model: PipelineModel, tmp_path: Path) -> None:
    units, plan = chosen(model, ["weight", "conv_weight"])
    units = [unit for unit in units if unit.component == "denoiser"]
    student = slimmed(model, units, plan)
    draws = Draws(torch.randn(8, 4, 8, 8, generator=generator(0, 0, "bank")), PROMPTS * 4, 1000, 0.1, 0)
    objective = Finetune().objective(student, model, draws)
    hold_zeros(objective.trained, kept_weights(student.components["denoiser"]))
    before = {name: value.detach().clone() for name, value in objective.trained.named_parameters()}
    schedule = Schedule(3, 4, 1e-3, weight_decay=1e-2, ema=0.9)
    optimise(objective, schedule, Hardware(), tmp_path, "test", lambda values, step: None)
    for unit in units:
        weight = objective.trained.get_parameter(f"{unit.path}.weight").detach().flatten()
        assert not weight[~plan[unit.name]].any()
        assert not torch.equal(weight, before[f"{unit.path}.weight"].flatten())
