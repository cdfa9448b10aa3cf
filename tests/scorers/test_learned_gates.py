"""Learned gates against the formulas written out, and against themselves when they are interrupted."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pairs import pairs
from processes import run_ranks
from safetensors.torch import load_file
from states import states
from torch import Tensor

from prunelab.core.draws import generator, normal
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model, ObservingScorer, OptimisingScorer, Scorer
from prunelab.core.scores import check_scores
from prunelab.core.settings import deciding
from prunelab.engine.fitting import Fitting
from prunelab.engine.optimise import optimise
from prunelab.models.pipeline import PipelineModel
from prunelab.schedules.schedule import Schedule
from prunelab.scorers.learned_gates import GateTraining, LearnedGates, hard_concrete, open_probability
from prunelab.trainers.hardware import Hardware

PROMPTS = [
    "a red seven on a blue background",
    "a white two on a black background",
    "a pink nine on a grey background",
]
SCHEDULE = Schedule(steps=4, batch_size=2, learning_rate=0.5, decay="constant", clip=None, checkpoint_every=1)
SMALL = LearnedGates(SCHEDULE, prompts=3, steps=2, initial=1.0, weight=0.1)


class Prompts:
    def prompts(self, draws: range) -> list[str]:
        return [PROMPTS[i % len(PROMPTS)] for i in draws]


def by_hand(logit: float, u: float, beta: float, damping: float) -> float:
    s = 1 / (1 + math.exp(-(math.log(u + damping) - math.log(1 - u + damping) + logit) / beta))
    return min(1.0, max(0.0, s * 1.2 - 0.1))


def test_the_gate_by_hand() -> None:
    logits, uniform = [-4.0, -1.0, 0.0, 0.3, 3.0], [[0.5, 0.9, 0.01, 0.4, 0.999], [0.2, 0.6, 0.7, 0.8, 0.1]]
    for damping in (0.5, 0.1, 1e-9):
        gates = hard_concrete(torch.tensor(logits), torch.tensor(uniform), 0.83, damping)
        expected = [
            [by_hand(lo, u, 0.83, damping) for lo, u in zip(logits, row, strict=True)] for row in uniform
        ]
        assert np.allclose(gates.numpy(), expected, atol=1e-6)
    assert gates.min() == 0
    assert gates.max() == 1


def test_damping_shrinks_the_noise_as_published() -> None:
    """At logit 3 and damping 0.5 about 3.4 % of the gates are below 1 at any one step."""
    uniform = torch.linspace(0, 1, 100001)[None, :]
    closed = hard_concrete(torch.full((100001,), 3.0), uniform, 0.83, 0.5) < 1
    assert float(closed.float().mean()) == pytest.approx(0.034, abs=0.001)


def test_the_open_probability_is_that_of_undamped_gates() -> None:
    uniform = (torch.arange(100000)[None, :] + 0.5) / 100000
    for logit in (-3.0, 0.0, 1.0):
        opened = hard_concrete(torch.full((100000,), logit), uniform, 0.83, 0.0) > 0
        expected = float(open_probability(torch.tensor(logit), 0.83))
        assert float(opened.float().mean()) == pytest.approx(expected, abs=1e-4)


def objective(model: PipelineModel, scorer: LearnedGates, *granularity: str) -> GateTraining:
    return scorer.objective(model, model.units(granularity or ["head"], ["denoiser"]), Prompts())


@torch.no_grad()
@pytest.mark.parametrize("same_noise", [True, False])
def test_the_loss_by_a_loop_over_samples_and_steps(model: PipelineModel, same_noise: bool) -> None:
    """One sample at a time, weights scaled in place of hooks, the sampler written out."""
    scorer = replace(SMALL, same_noise=same_noise, initial=0.2)
    training = objective(model, scorer, "neuron")
    for number, logits in enumerate(training.trained.parameters()):
        logits.add_(0.1 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(number)))
    batch = training.batch(range(2, 4))
    losses = training.loss(batch)
    errors = []
    for draw, item in zip([2, 3], batch["items"].tolist(), strict=True):
        noise = normal(model.latent_shape, 0, [0 if same_noise else item], "calibration latents")
        dense, gated = (sampled(model, training, PROMPTS[item], noise, d) for d in (None, draw))
        errors.append(float((dense - gated).pow(2).mean()))
    logits = [values.double() for values in training.trained.parameters()]
    penalty = sum(float(values.abs().mean()) for values in logits) / len(logits)
    assert float(losses["difference"]) == pytest.approx(sum(errors) / 2, rel=1e-3)
    assert errors[0] > 1e-3
    assert float(losses["penalty"]) == pytest.approx(penalty, rel=1e-5)
    assert float(losses["loss"]) == pytest.approx(sum(errors) / 2 + 0.1 * penalty, rel=1e-3)


def sampled(
    model: PipelineModel, training: GateTraining, prompt: str, noise: Tensor, draw: int | None
) -> Tensor:
    """Two DDIM steps of one sample; with a ``draw``, neurons are gated by scaling the columns after them."""
    bars = model.pipeline.scheduler.alphas_cumprod.double()
    denoiser, conditions, current = model.components["denoiser"], states(model, [prompt]), noise.double()
    sizes = [unit.elements for unit in training.units]
    for step, (now, then) in enumerate([(999, 499), (499, None)]):
        columns = [denoiser.get_submodule(unit.gate.module).weight for unit in training.units]
        before = [weight.clone() for weight in columns]
        if draw is not None:
            source = generator(0, draw, f"gate noise of step {step}")
            uniform = torch.rand(sum(sizes), generator=source).split(sizes)
            for weight, logits, row in zip(columns, training.trained.parameters(), uniform, strict=True):
                pairs = zip(logits.tolist(), row.tolist(), strict=True)
                weight.mul_(torch.tensor([by_hand(logit, u, 0.83, 0.5) for logit, u in pairs]))
        velocity = denoiser(current.float(), torch.tensor([now]), conditions).sample.double()
        for weight, values in zip(columns, before, strict=True):
            weight.copy_(values)
        bar, after = bars[now], torch.tensor(1.0).double() if then is None else bars[then]
        clean = bar.sqrt() * current - (1 - bar).sqrt() * velocity
        current = after.sqrt() * clean + (1 - after).sqrt() * (
            bar.sqrt() * velocity + (1 - bar).sqrt() * current
        )
    return current


def test_only_units_whose_gates_are_their_removal_are_trained(model: PipelineModel) -> None:
    channels, heads, weights = (model.units([kind], ["denoiser"]) for kind in ("channel", "head", "weight"))
    assert not all(map(LearnedGates.means.holds, channels))
    assert all(map(LearnedGates.means.holds, heads))
    assert not any(map(LearnedGates.means.holds, weights))


def test_rates_of_nothing_are_refused(model: PipelineModel) -> None:
    with pytest.raises(Refusal, match=r"scorer\.rates names 'weight': learned gates score units whose gates"):
        objective(model, replace(SMALL, rates={"weight": 0.5}))
    with pytest.raises(Refusal, match="unknown granularity 'haed': choose from"):
        objective(model, replace(SMALL, rates={"head": 0.5, "haed": 0.5}))
    objective(model, replace(SMALL, rates={"head": 0.5, "modulation": 0.5}))  # of which this model has none
    with pytest.raises(Refusal, match="regulariser=l2 is unknown"):
        replace(SMALL, regulariser="l2")


def test_penalties_are_means_over_units_and_sums_over_kinds(model: PipelineModel) -> None:
    batch = {"draws": torch.tensor([0]), "items": torch.tensor([0])}
    both = objective(model, replace(SMALL, initial=-2.0), "head", "neuron").loss(batch)
    assert float(both["penalty"].detach()) == pytest.approx(2 * 2.0)
    l0 = objective(model, replace(SMALL, initial=-2.0, regulariser="l0"), "head", "neuron").loss(batch)
    expected = 2 / (1 + math.exp(2.0 + 0.83 * math.log(0.1 / 1.1)))
    assert float(l0["penalty"].detach()) == pytest.approx(expected, rel=1e-5)


def test_the_penalty_for_flux_and_its_rates_per_kind(model: PipelineModel) -> None:
    """sigmoid(0.4 l + 1); the first step of AdamW without decay moves every logit by its kind's rate."""
    scorer = replace(SMALL, regulariser="sigmoid_l1", initial=-2.0, rates={"head": 0.5})
    batch = {"draws": torch.tensor([0]), "items": torch.tensor([0])}
    penalty = float(objective(model, scorer, "head", "neuron").loss(batch)["penalty"].detach())
    assert penalty == pytest.approx(2 / (1 + math.exp(0.8 - 1)), rel=1e-5)
    training = objective(model, replace(scorer, initial=0.0), "head", "neuron")
    fitting = Fitting(training, replace(SCHEDULE, learning_rate=0.1, decay="constant", warmup=0), print)
    optimiser = fitting.configure_optimizers()["optimizer"]
    sum(parameter.sum() for parameter in training.trained.parameters()).backward()
    optimiser.step()
    for unit, logits in zip(training.units, training.trained.parameters(), strict=True):
        rate = 0.5 if unit.granularity == "head" else 0.1
        assert torch.allclose(logits, torch.full_like(logits, -rate), atol=1e-4)


def gradient(training: GateTraining, draws: range) -> Tensor:
    training.trained.zero_grad()
    training.loss(training.batch(draws))["loss"].backward()
    return torch.cat([p.grad for p in training.trained.parameters() if p.grad is not None])


@pytest.mark.parametrize("granularity", sorted({*pairs()["learned_gates"]} - {"modulation"}))
def test_a_batch_of_4_is_two_of_2(model: PipelineModel, granularity: str) -> None:
    training = objective(model, SMALL, granularity)
    four = gradient(training, range(4))
    halves = (gradient(training, range(2)) + gradient(training, range(2, 4))) / 2
    assert four.abs().max() > 0
    assert torch.allclose(four, halves, rtol=1e-3, atol=1e-5 * float(four.abs().max()))


def test_a_batch_is_the_same_whenever_it_is_asked_for(model: PipelineModel) -> None:
    training = objective(model, SMALL)
    first = gradient(training, range(6, 8))
    torch.rand(3)
    gradient(training, range(2))
    assert torch.equal(gradient(training, range(6, 8)), first)


def trained(model: PipelineModel, folder: Path, failing: int | None = None) -> dict[str, Tensor]:
    training = objective(model, SMALL, "head", "neuron")
    loss, calls = training.loss, iter(range(100))

    def interrupted(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if next(calls) == failing:
            raise KeyError("the power went")
        return loss(batch)

    training.loss = interrupted  # type: ignore[method-assign, assignment]
    optimise(training, SCHEDULE, Hardware(), folder, "test", lambda values, step: None)
    scores = SMALL.read(training.trained, training.units)
    check_scores(scores, training.units)
    return dict(scores)


def test_a_killed_training_ends_bitwise_where_it_would_have(model: PipelineModel, tmp_path: Path) -> None:
    straight = trained(model, tmp_path / "straight")
    with pytest.raises(KeyError, match="the power went"):
        trained(model, tmp_path / "killed", failing=2)
    resumed = trained(model, tmp_path / "killed")
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    values = torch.cat(list(straight.values()))
    assert values.dtype == torch.float64
    assert len(values.unique()) > len(values) / 2  # elements have come apart


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "64-true"])
def test_activations_that_are_kept_change_nothing(
    model: PipelineModel, tmp_path: Path, precision: Any
) -> None:
    """Neither a bit of a score nor its address: a step that runs again draws the same noise."""
    parts = {name: copy.deepcopy(part) for name, part in model.components.items()}
    model, found = model.with_components(parts), []  # what is trained in another precision stays in it
    for room in (0.0, 1.0):
        scorer = replace(SMALL, activations=room, steps=3)
        training, folder = objective(model, scorer, "head", "neuron"), tmp_path / str(room)
        optimise(training, SCHEDULE, Hardware(precision=precision), folder, "test", lambda *_: None)
        found.append((scorer.read(training.trained, training.units), deciding(scorer)))
    (none, known), (every, same) = found
    assert known == same
    assert all(torch.equal(none[name], every[name]) for name in none)
    assert any(not (value == SMALL.initial).all() for value in none.values())


def test_the_model_is_left_as_it_was(model: PipelineModel, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in model.components["denoiser"].state_dict().items()}
    trained(model, tmp_path)
    after = model.components["denoiser"].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module._forward_pre_hooks for module in model.components["denoiser"].modules())


def started(folder: Path, processes: int) -> dict[str, Tensor]:
    run_ranks(Path(__file__).with_name("two_ranks_gates.py"), [str(folder)], folder, processes)
    return load_file(folder / "scores.safetensors")


def test_two_ranks_train_as_one_does(tmp_path: Path) -> None:
    folders = {1: tmp_path / "one", 2: tmp_path / "two"}
    for folder in folders.values():
        folder.mkdir()
    one, two = (started(folder, processes) for processes, folder in folders.items())
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-4)


def test_a_scorer_is_of_one_kind() -> None:
    assert isinstance(SMALL, OptimisingScorer)
    assert not isinstance(SMALL, Scorer | ObservingScorer)


def test_what_cannot_be_is_refused(model: PipelineModel) -> None:
    units = model.units(["head"], ["denoiser", "text_encoder"])
    with pytest.raises(Refusal, match=r"text_encoder: use components=\[denoiser\]"):
        SMALL.objective(model, units, Prompts())
    for wrong, message in (
        ({"regulariser": "l2"}, "l1, l0"),
        ({"prompts": 0}, "at least 1"),
        ({"beta": 0.0}, "above 0"),
        ({"damping": -0.1}, "at least 0"),
    ):
        with pytest.raises(Refusal, match=message):
            replace(SMALL, **wrong)


def test_unconditional_models_start_from_noise_of_every_draw(latents: Model, tmp_path: Path) -> None:
    """With one for all, as under prompts, every sample would be the same picture."""
    scorer = replace(SMALL, same_noise=True)
    units = latents.units(["head"], ["denoiser"])
    training = scorer.objective(latents, units, Prompts())
    noise = normal(latents.latent_shape, 0, range(3), "calibration latents")
    with torch.no_grad():
        expected = latents.sample(None, noise, 2, 1.0)[-1]
    torch.testing.assert_close(training.dense, expected, rtol=1e-4, atol=1e-5)
    optimise(training, SCHEDULE, Hardware(), tmp_path, "gates", lambda values, step: None)
    scores = scorer.read(training.trained, units)
    check_scores(scores, units)
    assert torch.cat(list(scores.values())).unique().numel() > 1
