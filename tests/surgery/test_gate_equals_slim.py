"""Gating a plan and slimming by it give the same function."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunelab.core.draws import generator
from prunelab.core.protocols import Model
from prunelab.core.scores import keep_all
from prunelab.core.units import Unit
from prunelab.costs.live_tensors import peak_of_new_tensors
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery.carried import structure_of
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.slimming import slim
from prunelab.walkers.walk import OURS

ROUND_OFF = 2e-5  # of float32 activations of order one
# Of modulations a U-Net has none.
TRACED = {"channel", "free_channel", "norm_group"}  # see tests/surgery/test_channels.py
GRANULARITIES = sorted({each.name for each in OURS} - TRACED - {"modulation"})


def random_plan(units: list[Unit], share: float, seed: int) -> dict[str, Tensor]:
    def keep(unit: Unit) -> Tensor:
        return torch.rand(unit.elements, generator=generator(seed, 0, unit.name)) >= share

    return {unit.name: keep(unit) for unit in units}


def inputs_of(model: Model, component: str) -> dict[str, Any]:
    made = model.example_inputs(component, 3)
    random = generator(0, 0, component)
    if component == "text_encoder":
        return {"input_ids": torch.randint(2, 20, made["input_ids"].shape, generator=random)}
    if "timestep" in made:
        made["timestep"] = torch.tensor([1, 400, 900])
    return {
        k: torch.randn(v.shape, generator=random) if v.is_floating_point() else v for k, v in made.items()
    }


def both(
    root: nn.Module, component: str, units: list[Unit], plan: dict[str, Tensor], inputs: Any
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        with gated({component: root}, units, gates_of(plan)):
            simulated = root(**inputs)[0]
        small = slim(root, units, plan)
        return simulated, small(**inputs)[0]


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("component", ["denoiser", "text_encoder"])
def test_gate_equals_slim(model: PipelineModel, component: str, granularity: str, share: float) -> None:
    units = model.units([granularity], [component])
    assert all(
        unit.exact for unit in units
    )  # through norms the identity is waived by this flag, never loosened
    plan = random_plan(units, share, seed=1)
    simulated, slimmed = both(
        model.components[component], component, units, plan, inputs_of(model, component)
    )
    assert (simulated - slimmed).abs().max() <= ROUND_OFF * max(1, float(simulated.abs().max()))


@pytest.mark.parametrize("share", [0.4, 1.0])
@pytest.mark.parametrize("granularity", sorted({*GRANULARITIES} - {"neuron"}))
def test_gate_equals_slim_where_nothing_conditions(
    unconditional: Model, granularity: str, share: float
) -> None:
    """Attention on images with a residual of its own, down to no heads at all."""
    for component, root in unconditional.components.items():
        units = unconditional.units([granularity], [component])
        assert all(unit.exact for unit in units)
        assert units or granularity in ("head", "weight")  # the autoencoder has no attention
        plan = random_plan(units, share, seed=1)
        simulated, slimmed = both(root, component, units, plan, inputs_of(unconditional, component))
        assert (simulated - slimmed).abs().max() <= ROUND_OFF * max(1, float(simulated.abs().max()))


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_nothing_left_still_equals(model: PipelineModel, granularity: str) -> None:
    units = model.units([granularity], ["denoiser"])
    plan = {unit.name: torch.zeros(unit.elements, dtype=torch.bool) for unit in units}
    simulated, slimmed = both(
        model.components["denoiser"], "denoiser", units, plan, inputs_of(model, "denoiser")
    )
    assert (simulated - slimmed).abs().max() <= ROUND_OFF * max(1, float(simulated.abs().max()))


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_the_gates_do_something_and_leave_nothing_behind(model: PipelineModel, granularity: str) -> None:
    units = model.units([granularity], ["denoiser"])
    root, inputs = model.components["denoiser"], inputs_of(model, "denoiser")
    with torch.no_grad():
        before = root(**inputs)[0]
        with gated({"denoiser": root}, units, gates_of(random_plan(units, 0.5, 2))):
            during = root(**inputs)[0]
        assert torch.equal(before, root(**inputs)[0])
    assert (before - during).abs().max() > 1e-3


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_sparsity_zero_is_dense_bitwise(model: PipelineModel, granularity: str) -> None:
    units = model.units([granularity], ["denoiser"])
    small = slim(model.components["denoiser"], units, keep_all(units))
    dense = model.components["denoiser"].state_dict()
    assert structure_of(small) is None
    assert all(torch.equal(value, dense[name]) for name, value in small.state_dict().items())
    assert small.state_dict().keys() == dense.keys()


@pytest.mark.parametrize("granularity", ["head", "block", "weight"])
def test_slimming_holds_no_second_copy(model: PipelineModel, granularity: str) -> None:
    """What is made on the way to the smaller model is little more than that."""
    root, made = model.components["denoiser"], []
    units = model.units([granularity], ["denoiser"])
    plan = random_plan(units, 0.5, 3)
    peak = peak_of_new_tensors(lambda: made.append(slim(root, units, plan)))
    largest = max(parameter.nbytes for parameter in root.parameters())
    assert peak <= sum(parameter.nbytes for parameter in made[0].parameters()) + 2 * largest


def test_gates_per_sample_hold_one_ablation_each(model: PipelineModel) -> None:
    """One batch with a different plan per row equals a batch per plan, also under stacked guidance."""
    units = model.units(["head", "neuron"], ["denoiser"])
    root, inputs = model.components["denoiser"], inputs_of(model, "denoiser")
    plans = [random_plan(units, 0.4, seed) for seed in range(3)]
    gates = {u.name: torch.stack([plan[u.name].float() for plan in plans]) for u in units}
    twice = {key: torch.cat([value, value]) for key, value in inputs.items()}
    with torch.no_grad():
        with gated({"denoiser": root}, units, gates):
            together = root(**twice)[0]
        for row, plan in enumerate(plans):
            with gated({"denoiser": root}, units, gates_of(plan)):
                alone = root(**inputs)[0][row]
            assert (together[row] - alone).abs().max() < ROUND_OFF
            assert (together[row + 3] - alone).abs().max() < ROUND_OFF
