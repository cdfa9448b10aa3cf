"""A model that was pruned is pruned again, on any granularity, by plans in its own coordinates."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunelab.core.draws import generator
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model
from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.prune import slimmed
from prunelab.surgery.carried import structure_of, zeroed_in
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.slimming import removed_indices
from prunelab.surgery.zeros import kept_weights

ROUND_OFF = 2e-5  # of float32 activations of order one
Plan = dict[str, Tensor]

# What goes, one after the other.
PASSES = [
    ("head", "norm_group", "operator", "channel", "head"),
    ("operator", "channel", "channel", "block"),
    ("block", "neuron", "neuron", "weight", "head"),
]


def some(units: list[Unit], share: float, seed: int) -> Plan:
    """A plan of about this share, equal in every run of a unit; of the first one's elements all, or most."""
    plan = {}
    for number, unit in enumerate(units):
        runs = max(unit.runs, 1)
        keep = torch.rand(unit.elements // runs, generator=generator(seed, 0, unit.name)) >= (
            share if number else 1.0
        )
        keep[0] |= bool(unit.runs)
        plan[unit.name] = keep.repeat(runs)
    return plan


def forward(model: Model) -> Tensor:
    made, random = model.example_inputs("denoiser", 2), generator(0, 0, "again")
    inputs: dict[str, Any] = {
        key: torch.randn(value.shape, generator=random) if value.is_floating_point() else value
        for key, value in made.items()
    }
    with torch.no_grad():
        answer: Tensor = model.components["denoiser"](**inputs)[0]
    return answer


def parameters(component: nn.Module) -> dict[str, int]:
    return {name: parameter.numel() for name, parameter in component.named_parameters()}


def left(component: nn.Module, units: list[Unit], plan: Plan) -> int:
    """How many parameters the plan leaves, from the slices of the units alone."""
    counts = parameters(component)
    for name, dims in removed_indices(units, plan).items():
        shape = list(component.get_parameter(name).shape)
        for dim, gone in dims.items():
            shape[dim] -= len(gone.unique())
        counts[name] = torch.Size(shape).numel()
    for unit in units:
        if unit.instead is not None and not plan[unit.name].any():
            spared = tuple(f"{unit.path}.{path}." for path in ("conv_shortcut", *unit.instead.biases))
            for name in [each for each in counts if each.startswith(f"{unit.path}.")]:
                bias = name.startswith(spared) and (unit.instead.becomes != "bias" or name.endswith("bias"))
                counts[name] *= bias
            bypass = unit.gate.bypass
            counts[unit.path] = 0 if bypass is None else sum(p.numel() for p in bypass.parameters())
    return sum(counts.values())


def prune_again(first: Model, granularity: str, folder: Path) -> tuple[Model, float]:
    """A second pass over a pruned model, saved and opened; and how far gating is from it."""
    units = first.units([granularity], ["denoiser"], bypasses=True)
    plan = some(units, 0.4, seed=2)
    with gated(first.components, units, gates_of(plan)):
        simulated = forward(first)
    second = slimmed(first, units, plan)
    performed = forward(second)
    assert not torch.equal(performed, forward(first))
    assert sum(parameters(second.components["denoiser"]).values()) == left(
        first.components["denoiser"], units, plan
    )
    second.save(folder)
    opened = second.reopened(folder)
    assert torch.equal(forward(opened), performed)
    for component in (second.components["denoiser"], opened.components["denoiser"]):
        steps = [
            (structure_of(each) or {"steps": []})["steps"]
            for each in (first.components["denoiser"], component)
        ]
        assert steps[1][: len(steps[0])] == steps[0]
        assert len(steps[1]) == len(steps[0]) + (granularity not in ("weight", "conv_weight"))
    error = (simulated - performed).abs().max() / max(1, float(simulated.abs().max()))
    return second, float(error) if all(unit.exact for unit in units) else 0.0


@pytest.mark.parametrize("passes", PASSES, ids="-".join)
def test_gate_equals_slim_and_saved_equals_loaded(
    model: PipelineModel, passes: tuple[str, ...], tmp_path: Path
) -> None:
    units = model.units([passes[0]], ["denoiser"], bypasses=True)
    small: Model = slimmed(model, units, some(units, 0.3, seed=1))
    for number, granularity in enumerate(passes[1:]):
        small, error = prune_again(small, granularity, tmp_path / str(number))
        assert error <= ROUND_OFF
    assert small.pruned() == ["denoiser"]
    assert model.pruned() == []


@pytest.mark.parametrize("then", ["modulation", "neuron"])
def test_two_streams_and_scattered_rows(flux: PipelineModel, then: str, tmp_path: Path) -> None:
    units = flux.units(["head", "modulation", "neuron"], ["denoiser"])
    first = slimmed(flux, units, some(units, 0.3, seed=1))
    _, error = prune_again(first, then, tmp_path)
    assert error <= ROUND_OFF


def test_single_weights_that_went_are_known_whatever_comes_then(model: PipelineModel, tmp_path: Path) -> None:
    units = model.units(["weight"], ["denoiser"])[:40]
    plan = some(units, 0.3, seed=1)
    slimmed(model, units, plan).save(tmp_path / "first")
    first = model.reopened(tmp_path / "first")
    assert zeroed_in(first.components["denoiser"]) == tuple(sorted(f"{unit.path}.weight" for unit in units))
    assert first.pruned() == ["denoiser"]
    for name, keep in kept_weights(first.components["denoiser"]).items():
        (unit,) = [each for each in units if f"{each.path}.weight" == name]
        assert not keep.flatten()[~plan[unit.name]].any()
    blocks = first.units(["block"], ["denoiser"])
    second = slimmed(
        first, blocks, {each.name: torch.tensor([number > 0]) for number, each in enumerate(blocks)}
    )
    second.save(tmp_path / "second")
    gone = f"{blocks[0].path}."
    expected = tuple(name for name in zeroed_in(first.components["denoiser"]) if not name.startswith(gone))
    assert len(expected) < len(units)
    assert zeroed_in(model.reopened(tmp_path / "second").components["denoiser"]) == expected
    (tmp_path / "second" / "unet" / "zeros.json").write_text('{"parameters": ["nowhere.weight"]}')
    with pytest.raises(Refusal, match=r"unet is broken or incomplete: .*nowhere"):
        model.reopened(tmp_path / "second")
