"""Magnitude against plain loops over the weights; random by its promises."""

import pytest
import torch

from prunelab.core.errors import Refusal
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.magnitude import Magnitude
from prunelab.scorers.random import Random


def test_magnitude_of_a_head_by_hand(model: PipelineModel) -> None:
    unit = model.units(["head"], ["denoiser"])[2]
    attention = model.components["denoiser"].get_submodule(unit.path)
    width = attention.to_q.out_features // attention.heads
    for p in (1.0, 2.0):
        scores = Magnitude(p=p).score(model, [unit])[unit.name]
        total = Magnitude(p=p, reduce="sum").score(model, [unit])[unit.name]
        for head in range(attention.heads):
            rows = slice(head * width, (head + 1) * width)
            parts = [linear.weight[rows] for linear in (attention.to_q, attention.to_k, attention.to_v)]
            parts.append(attention.to_out[0].weight[:, rows])
            weights = torch.cat([part.flatten() for part in parts]).double().abs() ** p
            assert float(scores[head]) == pytest.approx(float(weights.mean()))
            assert float(total[head]) == pytest.approx(float(weights.sum()))


def test_magnitude_of_an_operator_is_that_of_all_its_weights(model: PipelineModel) -> None:
    unit = next(u for u in model.units(["operator"], ["denoiser"]) if u.path.endswith("conv2"))
    module = model.components["denoiser"].get_submodule(unit.path)
    weights = torch.cat([p.detach().flatten() for p in module.parameters()])
    score = float(Magnitude().score(model, [unit])[unit.name])
    assert score == pytest.approx(float(weights.double().abs().mean()))


def test_magnitude_refuses_an_unknown_reduction() -> None:
    with pytest.raises(Refusal, match="mean, sum"):
        Magnitude(reduce="median")


def test_random_depends_on_the_seed_and_the_unit_alone(model: PipelineModel) -> None:
    units = model.units(["neuron"], ["denoiser"])
    first, alone = Random(3).score(model, units), Random(3).score(model, units[4:5])
    assert torch.equal(first[units[4].name], alone[units[4].name])
    assert not torch.equal(first[units[0].name], Random(4).score(model, units)[units[0].name])
    assert not torch.equal(first[units[0].name], first[units[1].name])


def test_magnitude_of_single_weights_is_their_size(model: PipelineModel) -> None:
    for granularity in ("weight", "conv_weight"):
        for unit in model.units([granularity], ["denoiser"])[:3]:
            weight = model.components["denoiser"].get_submodule(unit.path).weight.detach()
            expected = [abs(value) for row in weight.flatten(1).tolist() for value in row]
            assert Magnitude().score(model, [unit])[unit.name].tolist() == expected


def test_random_scores_are_drawn_when_they_are_read(model: PipelineModel) -> None:
    units = model.units(["weight"], ["denoiser"])
    drawn = Random(0).score(model, units)
    assert len(drawn) == len(units)
    assert list(drawn) == [unit.name for unit in units]
    assert torch.equal(drawn[units[0].name], drawn[units[0].name])
