"""The losses of fine-tuning and distillation against their formulas, written out without the classes."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from states import states
from torch import Tensor, nn

from prunelab.core.draws import generator
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.distill import Distill, stages
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.training_draws import Batch, Draws
from prunelab.stages.prune import slimmed

PROMPTS = ["a red seven on a blue background", "", "a white two on a black background"]


@pytest.fixture(scope="module")
def student(model: PipelineModel) -> PipelineModel:
    """The model without a few of its blocks, with weights of its own."""
    units = model.units(["head", "neuron"], ["denoiser"])
    plan = {u.name: torch.rand(u.elements, generator=generator(0, 0, u.name)) > 0.4 for u in units}
    small = slimmed(model, units, plan)
    return small.with_components({"denoiser": copy.deepcopy(small.components["denoiser"])})


@pytest.fixture
def draws(model: PipelineModel) -> Draws:
    latents = torch.randn(3, *model.latent_shape, generator=generator(0, 0, "bank"))
    return Draws(latents, PROMPTS, model.timesteps, drop=0.0, seed=4)


def outputs(model: PipelineModel, batch: Batch) -> tuple[Tensor, list[Tensor]]:
    """The denoiser's velocity and what its top-level stages put out, by a call of one's own."""
    bar = model.pipeline.scheduler.alphas_cumprod[batch.timesteps][:, None, None, None]
    noisy = bar.sqrt() * batch.latents + (1 - bar).sqrt() * batch.noise
    unet = model.components["denoiser"]
    seen: list[Tensor] = []
    handles = [
        child.register_forward_hook(lambda _, i, out: seen.append(out[0] if isinstance(out, tuple) else out))
        for name, child in unet.named_modules()
        if name in ("down_blocks.0", "down_blocks.1", "up_blocks.0", "up_blocks.1")
    ]
    predicted = unet(noisy, batch.timesteps, encoder_hidden_states=states(model, batch.prompts or [])).sample
    for handle in handles:
        handle.remove()
    return predicted, seen


def velocity(model: PipelineModel, batch: Batch) -> Tensor:
    bar = model.pipeline.scheduler.alphas_cumprod[batch.timesteps][:, None, None, None]
    return bar.sqrt() * batch.noise - (1 - bar).sqrt() * batch.latents


def squared(a: Tensor, b: Tensor) -> float:
    return float(((a - b).detach().double() ** 2).mean())


def test_finetune(model: PipelineModel, student: PipelineModel, draws: Draws) -> None:
    objective = Finetune().objective(student, model, draws)
    batch = objective.batch(range(6))
    expected = squared(outputs(student, batch)[0], velocity(model, batch))
    assert set(objective.loss(batch)) == {"loss"}
    assert float(objective.loss(batch)["loss"].detach()) == pytest.approx(expected, rel=1e-5)


def test_finetune_with_antithetic_timesteps(
    model: PipelineModel, student: PipelineModel, draws: Draws
) -> None:
    timesteps = Finetune(antithetic=True).objective(student, model, draws).batch(range(4)).timesteps
    assert (timesteps[::2] + timesteps[1::2]).tolist() == [model.timesteps - 1] * 2


def test_distill(model: PipelineModel, student: PipelineModel, draws: Draws) -> None:
    objective = Distill(task=0.5, output=2.0, feature=3.0).objective(student, model, draws)
    batch = objective.batch(range(6))
    losses = {name: float(value.detach()) for name, value in objective.loss(batch).items()}
    (learned, features), (known, wanted) = outputs(student, batch), outputs(model, batch)
    assert len(features) == 4
    expected = {
        "task": squared(learned, velocity(model, batch)),
        "output": squared(learned, known),
        "feature": sum(squared(a, b) for a, b in zip(features, wanted, strict=True)),
    }
    assert losses == pytest.approx(
        {**expected, "loss": 0.5 * expected["task"] + 2 * expected["output"] + 3 * expected["feature"]},
        rel=1e-4,
    )
    assert expected["feature"] > 1e-4


def test_the_teacher_may_be_held_in_half_precision(
    model: PipelineModel, student: PipelineModel, draws: Draws
) -> None:
    whole, halved = (Distill(teacher=each).objective(student, model, draws) for each in (None, "bf16"))
    weights = list(halved.teacher.components["denoiser"].parameters())
    assert {weight.dtype for weight in weights} == {torch.bfloat16}
    assert {weight.dtype for weight in model.components["denoiser"].parameters()} == {torch.float32}
    batch = whole.batch(range(6))
    exact, rough = (each.loss(batch) for each in (whole, halved))
    assert torch.equal(exact["task"], rough["task"])
    for name in ("output", "feature"):
        assert float(rough[name].detach()) == pytest.approx(float(exact[name].detach()), rel=0.05)


@pytest.mark.parametrize("name", ["tiny_t2i", "flux"])
def test_checkpointed_gradients_are_the_same(name: str, request: pytest.FixtureRequest, draws: Draws) -> None:
    """Bit for bit, of a U-Net and of a transformer."""
    whole: PipelineModel = request.getfixturevalue("model" if name == "tiny_t2i" else name)
    latents = torch.randn(3, *whole.latent_shape, generator=generator(0, 0, "bank"))
    found = []
    for checkpointing in (False, True):
        denoiser: Any = copy.deepcopy(whole.components["denoiser"]).train()
        own = whole.with_components({"denoiser": denoiser})
        denoiser.train()
        if checkpointing:
            denoiser.enable_gradient_checkpointing()
        objective = Finetune().objective(own, whole, replace(draws, latents=latents))
        objective.loss(objective.batch(range(2)))["loss"].backward()
        found.append({key: each.grad for key, each in denoiser.named_parameters() if each.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert len(found[0]) > 10
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_stages_that_became_narrower_are_left_out(model: PipelineModel, draws: Draws) -> None:
    """Stages of another width than the teacher's are not compared; the rest of the loss stays."""
    units = model.units(["channel"], ["denoiser"])
    plan = {u.name: torch.ones(u.elements, dtype=torch.bool) for u in units}
    for unit in units:  # every other channel of every run
        plan[unit.name].view(unit.runs or 1, -1)[:, ::2] = False
    narrow = slimmed(model, units, plan)
    batch = draws.batch(range(4))
    losses = Distill().objective(narrow, model, draws).loss(batch)
    (learned, features), (known, wanted) = outputs(narrow, batch), outputs(model, batch)
    same = [squared(a, b) for a, b in zip(features, wanted, strict=True) if a.shape == b.shape]
    assert len(same) < 4
    assert losses["feature"].item() == pytest.approx(sum(same), rel=1e-4)
    assert losses["output"].item() == pytest.approx(squared(learned, known), rel=1e-4)


def test_a_student_like_its_teacher_has_nothing_to_learn_from_it(model: PipelineModel, draws: Draws) -> None:
    twin = model.with_components({"denoiser": copy.deepcopy(model.components["denoiser"])})
    losses = Distill().objective(twin, model, draws).loss(draws.batch(range(4)))
    assert losses["output"].item() == 0
    assert losses["feature"].item() == 0
    assert losses["task"].item() > 0


def test_gradients_reach_the_student_and_nothing_else(
    model: PipelineModel, student: PipelineModel, draws: Draws
) -> None:
    objective = Distill().objective(student, model, draws)
    objective.loss(objective.batch(range(2)))["loss"].backward()
    reached = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in objective.trained.parameters()]
    assert sum(reached) > 0.95 * len(reached)
    assert objective.trained is student.components["denoiser"]
    others = [model.components["denoiser"], *(student.components[name] for name in ("text_encoder", "vae"))]
    for module in others:
        assert not any(p.requires_grad or p.grad is not None for p in module.parameters())
    objective.trained.zero_grad(set_to_none=True)


def test_the_hooks_of_the_features_leave_nothing_behind(
    model: PipelineModel, student: PipelineModel, draws: Draws
) -> None:
    objective = Distill().objective(student, model, draws)
    objective.loss(objective.batch(range(1)))
    for one in (model, student):
        assert not any(module._forward_hooks for module in one.components["denoiser"].modules())


def test_the_stages_of_unlike_denoisers() -> None:
    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(1, 1)
            self.transformer_blocks = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
            self.mid_block = None

    transformer = Transformer()
    assert stages(transformer) == list(transformer.transformer_blocks)
