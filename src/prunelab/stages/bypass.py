"""Bypass: cheap stand-ins for operators that change the shape, fitted to what the dense model computes.

Each is the least-squares solution over the dense model's own activations along its sampler: with X the
pooled input and Y the output of the operator, the 1x1 convolution that minimises ||X W + b - Y||.
"""

import copy
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunelab.artifacts import address
from prunelab.bypasses.bypasses import Bypasses
from prunelab.core.draws import normal
from prunelab.core.observation import Observation, Sums
from prunelab.core.protocols import Model
from prunelab.core.units import Unit
from prunelab.engine.observe import observe
from prunelab.stages.bench import Bench, Part, Write, write_tensors
from prunelab.surgery.pruned_layers import Bypass
from prunelab.tracking.protocol import Run

VERSION = 1
CHUNK = 8  # samples observed at once: part of the result to round-off, so not a setting
RIDGE = 1e-10  # of the mean squared input: keeps idle channels from blowing up the solution


def activations(model: Model, units: Sequence[Unit], prompts: Sequence[str], knobs: Bypasses) -> Observation:
    """Normal equations of every bypass, summed over calibration samples and sampler steps.

    ``NAME.inputs`` (c + 1, c + 1) and ``NAME.outputs`` (c + 1, d), float64, per unit.
    """

    def observe(rows: range, device: torch.device) -> Sums:
        noise = normal(model.latent_shape, knobs.seed, rows, "calibration latents", device)
        conditions = model.embed(prompts[rows.start : rows.stop])
        sums = Sums()
        with ExitStack() as stack:
            for unit in units:
                module = model.components[unit.component].get_submodule(unit.path)
                stack.callback(module.register_forward_hook(_adding(unit, sums)).remove)
            model.sample(conditions, noise, knobs.steps, 1.0)
        return sums

    return Observation(model, knobs.samples, CHUNK, observe)


def _adding(unit: Unit, sums: Sums) -> Any:
    bypass = unit.gate.bypass
    assert isinstance(bypass, Bypass)

    def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        rows = bypass.pooled(inputs[0]).movedim(1, -1).flatten(0, -2).double()
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
        wanted = output.movedim(1, -1).flatten(0, -2).double()
        sums.add(f"{unit.name}.inputs", rows.T @ rows)
        sums.add(f"{unit.name}.outputs", rows.T @ wanted)

    return add


def solve(unit: Unit, sums: Mapping[str, Tensor]) -> Bypass:
    """The bypass whose 1x1 convolution solves the normal equations of ``unit``."""
    assert isinstance(unit.gate.bypass, Bypass)
    inputs, outputs = sums[f"{unit.name}.inputs"], sums[f"{unit.name}.outputs"]
    ridge = RIDGE * inputs.diagonal().mean() * torch.eye(len(inputs), dtype=inputs.dtype)
    solution = torch.linalg.solve(inputs + ridge, outputs)
    weights = {"projection.weight": solution[:-1].T[:, :, None, None], "projection.bias": solution[-1]}
    return _with(unit.gate.bypass, weights)


def _with(bypass: Bypass, weights: Mapping[str, Tensor]) -> Bypass:
    """A bypass of the same shape with other weights."""
    fitted = copy.deepcopy(bypass)
    dtype = bypass.projection.weight.dtype
    fitted.load_state_dict({name: tensor.to(dtype) for name, tensor in weights.items()})
    return fitted


def fit(bench: Bench, units: Sequence[Unit], bypass: Part[Bypasses]) -> tuple[list[Unit], str]:
    """The units with fitted bypasses, and what says where these come from: see ``origin_of``."""
    changing = _changing(units)
    if bypass.value.method != "least_squares" or not changing:
        return list(units), origin_of(bench, units, bypass)

    def make(partial: Path, run: Run) -> Write:
        prompts = bench.task.calibration(bypass.value.seed).prompts(range(bypass.value.samples))
        sums = observe(activations(bench.model, changing, prompts, bypass.value), bench.hardware, "bypass")
        solved = {
            f"{unit.name}.{name}": tensor
            for unit in changing
            for name, tensor in solve(unit, sums).state_dict().items()
        }
        return lambda folder: write_tensors(folder / "bypasses.safetensors", solved)

    artifact = bench.artifact("bypass", bench.model.name, VERSION, _inputs(bench, changing, bypass), make)
    weights = artifact.tensors("bypasses.safetensors")
    return [_fitted(unit, weights) for unit in units], artifact.address


def origin_of(bench: Bench, units: Sequence[Unit], bypass: Part[Bypasses]) -> str:
    """Where the bypasses of ``units`` come from: an address, ``plain``, or ``none`` where there are none."""
    changing = _changing(units)
    if not changing:
        return "none"
    if bypass.value.method != "least_squares":
        return bypass.value.method
    return address("bypass", bench.model.name, VERSION, **_inputs(bench, changing, bypass))


def _changing(units: Sequence[Unit]) -> list[Unit]:
    return [unit for unit in units if unit.gate.bypass is not None]


def _inputs(bench: Bench, changing: Sequence[Unit], bypass: Part[Bypasses]) -> dict[str, Any]:
    return {
        "model": bench.model.fingerprint(),
        "units": [unit.name for unit in changing],
        "bypass": dict(bypass.settings),
        "data": bench.task.fingerprint(),
        "precision": bench.hardware.arithmetic,
    }


def _fitted(unit: Unit, weights: Mapping[str, Tensor]) -> Unit:
    if not isinstance(unit.gate.bypass, Bypass):
        return unit
    own = {name: weights[f"{unit.name}.{name}"] for name in unit.gate.bypass.state_dict()}
    return replace(unit, gate=replace(unit.gate, bypass=_with(unit.gate.bypass, own)))
