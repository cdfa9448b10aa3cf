"""Budgets of parameters and MACs for channels, whose costs cannot be added up."""

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from prunelab.budgets.uniform import Uniform
from prunelab.core.errors import Refusal
from prunelab.core.scores import Plan, removed
from prunelab.core.sparsity import Sparsity
from prunelab.costs.macs import macs
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.random import Random
from prunelab.stages.bench import Bench, Part
from prunelab.stages.prune import make_plan, slimmed


def share_left(model: PipelineModel, plan: Plan, of: str) -> float:
    """Of the denoiser's cost after slimming with all weights, counted without a ledger."""
    units = model.units(["channel"], ["denoiser"])
    small = slimmed(model, units, plan)

    def cost(denoiser: nn.Module) -> int:
        if of == "parameters":
            return sum(p.numel() for p in denoiser.parameters())
        return macs(denoiser, model.example_inputs("denoiser", 1)).total

    return cost(small.components["denoiser"]) / cost(model.components["denoiser"])


@pytest.mark.parametrize("of", ["parameters", "macs"])
def test_the_smallest_share_that_meets_the_cost(
    make_bench: Callable[..., Bench], model: PipelineModel, tmp_path: Path, of: str
) -> None:
    bench, units = make_bench(tmp_path), model.units(["channel"], ["denoiser"])
    scores = Random(seed=3).score(model, units)

    def plan(budget: Uniform, sparsity: float) -> Plan:
        return make_plan(bench, units, scores, Part("uniform", budget, {}), Sparsity(sparsity))

    met = plan(Uniform(of=of), 0.4)
    assert share_left(model, met, of) <= 0.6
    steps = [plan(Uniform(of="elements"), k / 64) for k in range(64)]
    fewer = [each for each in steps if removed(each) < removed(met)]
    assert share_left(model, fewer[-1], of) > 0.6


def test_what_channels_cannot_give(
    make_bench: Callable[..., Bench], model: PipelineModel, tmp_path: Path
) -> None:
    units = model.units(["channel"], ["denoiser"])
    scores = Random(seed=3).score(model, units)
    for of, sparsity, line in (("macs", 0.99, "channel units give"), ("latency", 0.3, "cannot be added up")):
        budget = Part("uniform", Uniform(of=of), {})
        with pytest.raises(Refusal, match=line):
            make_plan(make_bench(tmp_path), units, scores, budget, Sparsity(sparsity))
