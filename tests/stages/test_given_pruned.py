"""A folder of a pruned model is a model like any other: it is pruned further, and shares are of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prunelab.budgets.everywhere import Everywhere
from prunelab.core.sparsity import Sparsity
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.magnitude import Magnitude
from prunelab.stages.bench import Bench, Part
from prunelab.stages.prune import prune, slimmed
from prunelab.stages.score import choose_units, score
from prunelab.surgery.carried import structure_of


def test_shares_are_of_the_model_as_it_was_given(
    make_bench: Callable[..., Bench], model: PipelineModel, tmp_path: Path
) -> None:
    blocks = model.units(["block"], ["denoiser"])
    given = slimmed(model, blocks, {unit.name: torch.tensor([unit not in blocks[:3]]) for unit in blocks})
    given.save(tmp_path / "given")
    bench = replace(make_bench(tmp_path / "store"), model=model.reopened(tmp_path / "given"))
    units = choose_units(bench, ["head"], ["denoiser"])
    scores = score(bench, Part("magnitude", Magnitude(), {}), units)
    made = prune(
        bench, scores, units, Part("global", Everywhere("parameters"), {}), Sparsity(0.05, "parameters")
    )
    before, after = (
        sum(parameter.numel() for parameter in each.components["denoiser"].parameters())
        for each in (bench.model, bench.model.reopened(made.path / "model"))
    )
    assert made.json("pruned.json")["achieved"]["parameters"] == pytest.approx(1 - after / before)
    steps = [
        (structure_of(each.components["denoiser"]) or {})["steps"]
        for each in (given, bench.model.reopened(made.path / "model"))
    ]
    assert steps[1][:1] == steps[0]
    assert len(steps[1]) == 2
