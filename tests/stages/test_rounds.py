"""Iterative pruning and the scratch control."""

import torch

from prunelab.core.scores import keep_all
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.scratch import forget
from prunelab.stages.prune import slimmed
from prunelab.stages.score import first_to_go


def test_what_is_gone_stays_the_first_to_go() -> None:
    scores = {"a": torch.tensor([3.0, -2.0, 1.0]), "b": torch.tensor([0.5])}
    plan = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True])}
    after = first_to_go(scores, plan)
    assert float(after["a"][2]) < min(float(scores["a"].min()), float(scores["b"].min()))
    assert after["a"][:2].tolist() == [3.0, -2.0]
    assert torch.isfinite(after["a"]).all()
    assert first_to_go(scores, {}) is scores


def test_scratch_keeps_the_shape_and_nothing_else(model: PipelineModel) -> None:
    units = model.units(["head"], ["denoiser"])
    plan = keep_all(units)
    plan[units[0].name][0] = False
    students = [slimmed(model, units, plan).components["denoiser"] for _ in range(2)]
    before = {name: tensor.clone() for name, tensor in students[0].state_dict().items()}
    state = torch.random.get_rng_state()
    for student in students:
        forget(student, seed=3)
    assert torch.equal(state, torch.random.get_rng_state())
    first, second = (student.state_dict() for student in students)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(first[name].shape == before[name].shape for name in before)
    matrices = [name for name, tensor in before.items() if tensor.ndim > 1]
    assert not any(torch.equal(first[name], before[name]) for name in matrices)
