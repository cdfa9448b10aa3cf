"""Operators that change the shape: gated, slimmed, saved, fitted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from states import states

import prunelab
from prunelab.bypasses.bypasses import Bypasses
from prunelab.core.draws import generator, normal
from prunelab.core.protocols import Model
from prunelab.core.scores import keep_all
from prunelab.core.units import Unit
from prunelab.engine.observe import observe
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.bypass import activations, solve
from prunelab.stages.prune import slimmed
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.pruned_layers import Bypass
from prunelab.surgery.slimming import slim
from prunelab.trainers.hardware import Hardware

PROMPTS = ["a red seven on a blue background", "a white two on a black background"] * 2


@pytest.fixture
def changing(model: PipelineModel) -> list[Unit]:
    return [u for u in model.units(["operator"], ["denoiser"], bypasses=True) if u.gate.bypass is not None]


def test_they_are_the_convolutions_that_the_others_leave_out(
    model: PipelineModel, changing: list[Unit]
) -> None:
    root = model.components["denoiser"]
    shapes = {(root.get_submodule(u.path).in_channels, root.get_submodule(u.path).stride) for u in changing}
    assert shapes == {(4, (1, 1)), (64, (1, 1)), (32, (2, 2)), (32, (1, 1))}  # in, up, down, out
    assert len(changing) == 9
    listed = {unit.path for unit in model.units(["operator"], ["denoiser"])}
    assert not listed & {unit.path for unit in changing}


@torch.no_grad()
def test_gate_equals_slim_and_saved_equals_loaded(
    model: PipelineModel, changing: list[Unit], tmp_path: Path
) -> None:
    root = model.components["denoiser"]
    inputs = {
        "sample": torch.randn(2, 4, 8, 8, generator=generator(0, 0, "bypass test")),
        "timestep": torch.tensor([10, 600]),
        "encoder_hidden_states": states(model, PROMPTS[:2]),
    }
    plan = {unit.name: torch.tensor([False]) for unit in changing}
    with gated(model.components, changing, gates_of(plan)):
        simulated = root(**inputs)[0]
    small = slimmed(model, changing, plan)
    performed = small.components["denoiser"](**inputs)[0]
    assert (simulated - performed).abs().max() < 1e-5
    small.save(tmp_path)
    reopened = prunelab.load_pruned(tmp_path)
    assert torch.equal(reopened.unet(**inputs)[0], performed)


@torch.no_grad()
def test_least_squares_is_what_numpy_finds(model: PipelineModel, changing: list[Unit]) -> None:
    knobs = Bypasses("least_squares", samples=4, steps=2)
    sums = observe(activations(model, changing, PROMPTS, knobs), Hardware(), "bypass")
    for unit in changing:
        rows, wanted = _activations(model, unit)
        expected, *_ = np.linalg.lstsq(np.c_[rows, np.ones(len(rows))], wanted, rcond=None)
        fitted = solve(unit, sums).projection
        found = rows @ fitted.weight[:, :, 0, 0].double().numpy().T + fitted.bias.double().numpy()
        best = ((rows @ expected[:-1] + expected[-1] - wanted) ** 2).mean()
        assert ((found - wanted) ** 2).mean() <= best * 1.001 + 1e-9
        plain = unit.gate.bypass.projection
        untrained = rows @ plain.weight[:, :, 0, 0].double().numpy().T
        assert best < ((untrained - wanted) ** 2).mean()


def _activations(model: PipelineModel, unit: Unit) -> tuple[np.ndarray, np.ndarray]:
    """Pooled inputs and outputs of one operator along two sampler steps, one row per position."""
    rows, wanted = [], []

    def keep(_: object, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        height = output.shape[-1]
        stride = inputs[0].shape[-1] // height
        pooled = inputs[0][:, :, : height * stride, : height * stride]
        pooled = pooled.unfold(2, stride, stride).unfold(3, stride, stride).mean((-1, -2))
        rows.append(pooled.permute(0, 2, 3, 1).reshape(-1, pooled.shape[1]).double().numpy())
        wanted.append(output.permute(0, 2, 3, 1).reshape(-1, output.shape[1]).double().numpy())

    handle = model.components["denoiser"].get_submodule(unit.path).register_forward_hook(keep)
    noise = normal(model.latent_shape, 0, range(4), "calibration latents")
    model.sample(model.embed(PROMPTS), noise, 2, 1.0)
    handle.remove()
    return np.concatenate(rows), np.concatenate(wanted)


def test_a_strided_convolution_keeps_its_output_size() -> None:
    for kernel, stride, padding, side in ((3, 2, 1, 8), (3, 2, 0, 9), (4, 4, 0, 32), (3, 1, 0, 8)):
        convolution = torch.nn.Conv2d(3, 5, kernel, stride, padding)
        value = torch.randn(2, 3, side, side)
        assert Bypass(convolution)(value).shape == convolution(value).shape


@pytest.mark.parametrize("name", ["model", "pixels"])
def test_what_the_ledger_says_is_what_slimming_saves(request: pytest.FixtureRequest, name: str) -> None:
    """The cost of every element, against the costs of the model without it."""
    from prunelab.costs.component import component_costs
    from prunelab.costs.ledger import CostLedger
    from prunelab.costs.macs import macs

    model: Model = request.getfixturevalue(name)
    root = model.components["denoiser"]
    inputs = model.example_inputs("denoiser", 1)
    dense = component_costs(root, macs(root, inputs))
    for granularity in ("operator", "block", "head", "neuron"):
        units = model.units([granularity], ["denoiser"], bypasses=True)
        chosen = units[:: max(1, len(units) // 5)] + [u for u in units if u.gate.bypass is not None][:2]
        ledgers = {of: CostLedger(of, model, units) for of in ("parameters", "macs")}
        for unit in chosen:
            plan = keep_all([unit])
            plan[unit.name][0] = False
            smaller = slim(root, [unit], plan)
            without = component_costs(smaller, macs(smaller, inputs))
            for of, ledger in ledgers.items():
                assert ledger.cost(unit) == pytest.approx(dense[of] - without[of]), (unit.name, of)
