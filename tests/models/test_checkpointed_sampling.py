"""Backpropagation through the sampler, checkpointed at every step, against plain backpropagation."""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from prunelab.core.checkpointing import Passes
from prunelab.core.draws import generator, normal
from prunelab.core.units import Unit
from prunelab.costs.live_tensors import peak_of_new_tensors
from prunelab.models.conditions import Conditions
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery.gating import gated

PROMPTS = ["a red seven on a blue background", "a white two on a black background"]


class Noisy:
    """Gates from logits and fresh noise at every step, drawn anew on every entry."""

    def __init__(self, model: PipelineModel, units: list[Unit], logits: list[Tensor]) -> None:
        self.model, self.units, self.logits = model, units, logits
        self.entered = list[int]()

    def __call__(self, step: int) -> AbstractContextManager[None]:
        return self._gated(step)

    @contextmanager
    def _gated(self, step: int) -> Iterator[None]:
        self.entered.append(step)
        source = generator(7, step, "test noise")
        gates = {
            unit.name: (logit + torch.randn(2, unit.elements, generator=source, dtype=logit.dtype)).sigmoid()
            for unit, logit in zip(self.units, self.logits, strict=True)
        }
        with gated(self.model.components, self.units, gates):
            yield


def double(model: PipelineModel) -> PipelineModel:
    """Denoiser and text encoder in float64, with gradients for one of the former's weights."""
    parts = {name: copy.deepcopy(model.components[name]).double() for name in ("denoiser", "text_encoder")}
    exact = model.with_components(parts)
    parts["denoiser"].conv_in.weight.requires_grad_(True)
    return exact


def read(conditions: Conditions | None) -> list[Tensor]:
    """The tensors that prompts became."""
    assert conditions is not None
    return [each for each in tree_leaves(list(conditions.known.values())) if isinstance(each, Tensor)]


def gradients(
    model: PipelineModel, guidance: float, checkpointed: bool, room: int = 0
) -> tuple[list[Tensor], list[int]]:
    """Those of logits, latents, conditions and a weight for a loss of the last latents; the steps entered."""
    denoiser = model.components["denoiser"]
    denoiser.zero_grad()
    units = model.units(["head", "neuron"], ["denoiser"])
    logits = [torch.linspace(-1, 2, u.elements, dtype=torch.float64).requires_grad_(True) for u in units]
    latents = normal(model.latent_shape, 0, range(2), "test").double().requires_grad_(True)
    conditions = model.embed(PROMPTS)
    (states,) = read(conditions)
    states.requires_grad_(True)
    within = Noisy(model, units, logits)
    last = model.sample(
        conditions, latents, 3, guidance, last=True, checkpointed=checkpointed, room=room, within=within
    )[-1]
    (last - normal(model.latent_shape, 1, range(2), "test").double()).pow(2).mean().backward()
    leaves = [*logits, latents, states, denoiser.conv_in.weight]
    return [leaf.grad.clone() for leaf in leaves if leaf.grad is not None], within.entered


@pytest.mark.parametrize("scheduler", [None, EulerDiscreteScheduler, DPMSolverMultistepScheduler])
def test_the_gradient_is_that_of_plain_backpropagation(model: PipelineModel, scheduler: Any) -> None:
    """Also through a solver that remembers earlier steps: its own arithmetic is not repeated."""
    exact = double(model)
    if scheduler is not None:
        exact.pipeline.scheduler = scheduler.from_config(model.pipeline.scheduler.config)
    plain, once = gradients(exact, 1.0, checkpointed=False)
    checked, twice = gradients(exact, 1.0, checkpointed=True)
    assert once == [0, 1, 2]
    assert twice == [0, 1, 2, 2, 1, 0]  # each step a second time, backwards
    assert len(plain) == len(exact.units(["head", "neuron"], ["denoiser"])) + 3
    for expected, found in zip(plain, checked, strict=True):
        scale = float(expected.abs().max())
        assert scale > 0
        assert float((found - expected).abs().max()) < 1e-12 * scale


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_steps_that_keep_their_activations_give_the_same_gradient(
    model: PipelineModel, guidance: float
) -> None:
    """To the last bit, however many there are; the last ones are kept, and the first never is."""
    exact, held = double(model), saved(double(model), 1, checkpointed=False, guidance=guidance)
    known, _ = gradients(exact, guidance, checkpointed=True)
    again = {0: [2, 1, 0], int(1.2 * held): [1, 0], int(2.2 * held): [0], 100 * held: [0]}
    for room, repeated in again.items():
        found, entered = gradients(exact, guidance, checkpointed=True, room=room)
        assert entered == [0, 1, 2, *repeated], room
        assert all(torch.equal(one, other) for one, other in zip(known, found, strict=True))


def test_what_is_kept_stays_within_the_room_and_is_let_go_of(model: PipelineModel) -> None:
    few, held = peak(model, 6, checkpointed=True), saved(model, 1, checkpointed=False)
    for steps in (1, 3):
        room = int((steps + 0.5) * held)
        found = peak(model, 6, checkpointed=True, room=room)
        assert few + (steps - 1) * held < found < few + room
    assert peak(model, 6, checkpointed=True, room=held // 2) == few


def test_a_step_of_two_passes_takes_room_for_both() -> None:
    """As of pipelines that ask with and without the prompt in turn."""
    ran, weight = list[int](), torch.ones(1000, requires_grad=True)

    def run(x: Tensor, step: int) -> Tensor:
        ran.append(step)
        return (x * weight).sin()

    for room, again in ((7_999, [2, 2, 1, 1, 0, 0]), (15_999, [1, 1, 0, 0]), (16_000, [0, 0])):
        passes, x = Passes(room), torch.ones(1000, requires_grad=True)
        ran.clear()
        for step in range(3):
            one, other = (passes(run, {"x": x, "step": step}, step, 3 - step) for _ in range(2))
            x = one + other
        x.sum().backward()
        assert passes.size == 4000, "the product; argument and weight are there without the pass"
        assert ran == [0, 0, 1, 1, 2, 2, *again], room


def test_going_back_twice_runs_what_was_let_go_of(model: PipelineModel) -> None:
    noise = normal(model.latent_shape, 0, range(1), "test").requires_grad_(True)
    options: Any = {"last": True, "checkpointed": True, "room": 2**30}
    last = model.sample(model.embed(PROMPTS[:1]), noise, 2, 1.0, **options)
    (once,) = torch.autograd.grad(last.sum(), noise, retain_graph=True)
    (twice,) = torch.autograd.grad(last.sum(), noise)
    assert torch.equal(once, twice)


def test_noise_that_is_not_replayed_gives_another_gradient(model: PipelineModel) -> None:
    """What the identity above would miss if the noise came from a generator that goes on."""
    exact = double(model)
    source = torch.Generator().manual_seed(0)
    logit = torch.zeros((), dtype=torch.float64, requires_grad=True)
    unit = exact.units(["head"], ["denoiser"])[0]

    @contextmanager
    def within(step: int) -> Iterator[None]:
        gate = (logit + torch.randn(4, generator=source, dtype=torch.float64)).sigmoid()
        with gated(exact.components, [unit], {unit.name: gate}):
            yield

    found = []
    for checkpointed in (False, True):
        source.manual_seed(0)
        conditions = exact.embed(PROMPTS[:1])
        latents = normal(exact.latent_shape, 0, range(1), "test").double()
        passed = exact.sample(conditions, latents, 3, 1.0, checkpointed=checkpointed, within=within)
        (gradient,) = torch.autograd.grad(passed[-1].pow(2).mean(), logit)
        found.append(float(gradient))
    assert found[0] != pytest.approx(found[1], rel=1e-3)


def test_guidance_is_checkpointed_too(model: PipelineModel) -> None:
    found = []
    unit = model.units(["neuron"], ["denoiser"])[0]
    for checkpointed in (False, True):
        gate = torch.full((2, unit.elements), 0.9, requires_grad=True)
        noise = normal(model.latent_shape, 0, range(2), "test")

        @contextmanager
        def within(step: int, gate: Tensor = gate) -> Iterator[None]:
            with gated(model.components, [unit], {unit.name: gate}):
                yield

        conditions = model.embed(PROMPTS)
        passed = model.sample(conditions, noise, 2, 3.0, checkpointed=checkpointed, within=within)
        (gradient,) = torch.autograd.grad(passed[-1].pow(2).mean(), gate)
        found.append(gradient)
    assert torch.allclose(found[0], found[1], rtol=1e-5, atol=1e-8)


def saved(model: PipelineModel, steps: int, checkpointed: bool, guidance: float = 1.0) -> int:
    """Bytes of what autograd keeps between the forward and the backward pass, each storage once."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    latents = normal(model.latent_shape, 0, range(2), "test").requires_grad_(True)
    conditions = model.embed(PROMPTS)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.sample(conditions, latents, steps, guidance, last=True, checkpointed=checkpointed)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_one_latent_per_step_is_kept_and_no_more(model: PipelineModel) -> None:
    latent = 2 * 4 * 8 * 8 * 4  # bytes of both samples
    kept = {steps: saved(model, steps, checkpointed=True) for steps in (1, 2, 5)}
    numbers = 64  # beside each latent, the scheduler's factors of the step
    assert latent <= kept[2] - kept[1] <= latent + numbers
    assert 4 * latent <= kept[5] - kept[1] <= 4 * (latent + numbers)
    (states,) = read(model.embed(PROMPTS))  # shared by all steps
    assert kept[1] < 2 * latent + states.untyped_storage().nbytes()
    assert saved(model, 2, checkpointed=False) - saved(model, 1, checkpointed=False) > 100 * latent


def peak(model: PipelineModel, steps: int, checkpointed: bool, room: int = 0) -> int:
    """Bytes of live tensors at their highest, forward and backward."""
    latents = normal(model.latent_shape, 0, range(2), "test").requires_grad_(True)
    conditions = model.embed(PROMPTS)

    def there_and_back() -> None:
        options: Any = {"last": True, "checkpointed": checkpointed, "room": room}
        passed = model.sample(conditions, latents, steps, 1.0, **options)
        passed[-1].pow(2).mean().backward()

    return peak_of_new_tensors(there_and_back)


def test_peak_memory_grows_by_one_latent_per_step_and_no_more(model: PipelineModel) -> None:
    latent = 2 * 4 * 8 * 8 * 4
    few, many = peak(model, 2, checkpointed=True), peak(model, 6, checkpointed=True)
    assert 0 < many - few <= 4 * (latent + 64)  # beside each latent, the step's timestep
    assert peak(model, 2, checkpointed=False) > 1.5 * few


def test_last_is_the_last_of_all(model: PipelineModel) -> None:
    noise, conditions = normal(model.latent_shape, 0, range(2), "test"), model.embed(PROMPTS)
    with torch.no_grad():
        every = model.sample(conditions, noise, 3, 2.0)
        last = model.sample(conditions, noise, 3, 2.0, last=True)
    assert last.shape == (1, *every.shape[1:])
    assert torch.equal(every[-1], last[0])


def test_each_step_runs_twice_forward_and_once_back(model: PipelineModel) -> None:
    attention = model.components["denoiser"].down_blocks[0].attentions[0].transformer_blocks[0].attn1
    there, back = list[int](), list[int]()

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        there.append(1)
        if output.requires_grad:
            output.register_hook(lambda gradient: back.append(1))

    handle = attention.to_q.register_forward_hook(count)
    noise = normal(model.latent_shape, 0, range(1), "test").requires_grad_(True)
    model.sample(model.embed(PROMPTS[:1]), noise, 3, 1.0, checkpointed=True)[-1].sum().backward()
    handle.remove()
    assert (len(there), len(back)) == (6, 3)
