"""Progressive distillation against diffusers' own DDIM steps."""

import copy

import pytest
import torch
from states import states
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.models.pipeline import PipelineModel
from prunelab.pretraining.step_halving import Bank, StepHalving

PROMPTS = ["a red seven on a blue background", "a white two on a black background"]


def halving(model: PipelineModel, guidance: float) -> StepHalving:
    """Four teacher steps, two of the student's."""
    scheduler = copy.deepcopy(model.pipeline.scheduler)
    scheduler.set_timesteps(4)
    teacher = copy.deepcopy(model.components["denoiser"])
    with torch.no_grad():
        bank = Bank(normal((4, 8, 8), 3, range(2), "bank"), states(model, PROMPTS), states(model, [""]))
    grid = scheduler.timesteps.tolist()
    return StepHalving(teacher, copy.deepcopy(teacher), scheduler.alphas_cumprod, grid, bank, guidance, 0)


def starts(objective: StepHalving, step: int, draws: range) -> dict[str, Tensor]:
    """A batch whose every draw takes the given step."""
    return {**objective.batch(draws), "step": torch.full((len(draws),), step)}


def answer(model: PipelineModel, noisy: Tensor, timesteps: Tensor, conditions: Tensor) -> Tensor:
    """The U-Net's output."""
    found: Tensor = model.components["denoiser"](noisy, timesteps, conditions).sample
    return found


@torch.no_grad()
@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("step", [0, 1])
def test_the_target_is_two_ddim_steps_of_the_teacher(
    model: PipelineModel, guidance: float, step: int
) -> None:
    objective = halving(model, guidance)
    batch = starts(objective, step, range(2))
    fine, coarse = (copy.deepcopy(model.pipeline.scheduler) for _ in range(2))
    fine.set_timesteps(4)
    coarse.set_timesteps(2)
    now = coarse.timesteps[step]
    noisy = model.noised(batch["latents"], now.expand(2), batch["noise"])
    current, empty = noisy, states(model, [""]).expand(2, -1, -1)
    for timestep in fine.timesteps[2 * step : 2 * step + 2]:
        held = answer(model, current, timestep.expand(2), batch["conditions"])
        free = answer(model, current, timestep.expand(2), empty)
        current = fine.step(free + guidance * (held - free), timestep, current).prev_sample
    end = coarse.timesteps[1] if step == 0 else torch.tensor(-1)
    wanted = objective.velocity(noisy, current, now.expand(2), end.expand(2))
    assert torch.allclose(coarse.step(wanted, now, noisy).prev_sample, current, atol=1e-4)
    found = answer(model, noisy, now.expand(2), batch["conditions"])
    expected = float((found - wanted).pow(2).mean())
    assert float(objective.loss(batch)["loss"]) == pytest.approx(expected, rel=1e-3)


def test_only_the_student_learns(model: PipelineModel) -> None:
    objective = halving(model, 2.0)
    objective.loss(objective.batch(range(2)))["loss"].backward()
    assert all(p.grad is not None for p in objective.trained.parameters())
    assert not any(p.requires_grad for p in objective.teacher.parameters())


def test_a_batch_belongs_to_its_draws(model: PipelineModel) -> None:
    objective = halving(model, 1.0)
    four, late = objective.batch(range(4)), objective.batch(range(2, 4))
    assert all(torch.equal(four[name][2:], late[name]) for name in four)
    assert set(objective.batch(range(40))["step"].tolist()) == {0, 1}
