"""Wanda against a loop over plain tensors that shares no code with the scorer."""

import math

import pytest
import torch
from torch import Tensor, nn

from prunelab.core.draws import integers, normal
from prunelab.core.halves import Averaged
from prunelab.core.units import Unit
from prunelab.data.digits import Digits
from prunelab.engine.observe import observe
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.wanda import Wanda
from prunelab.stages.score import follow
from prunelab.trainers.hardware import Hardware

SAMPLES = 6


class Examples:
    """The first training examples by their numbers."""

    def __init__(self) -> None:
        self.split = Digits(0, SAMPLES, 8).train()

    def prompts(self, draws: range) -> list[str]:
        return list(self.split[list(draws)]["caption"])

    def media(self, draws: range) -> Tensor:
        return torch.as_tensor(self.split[list(draws)]["image"])


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Examples()


def scored(model: PipelineModel, units: list[Unit], scorer: Wanda, examples: Examples) -> Averaged:
    scores = follow(scorer.passes(model, units, examples), Hardware())
    assert isinstance(scores, Averaged)
    return scores


@torch.no_grad()
def inputs_of(model: PipelineModel, module: nn.Module, examples: Examples) -> list[Tensor]:
    """The input of ``module`` for one sample after the other, through the model's own calls."""
    blank, time = model.encode(examples.media(range(1))), torch.tensor([1])
    model.predict(blank, time, model.embed([""]))  # what it runs to know itself it runs once
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    for i in range(SAMPLES):
        draw = range(i, i + 1)
        conditions = model.embed(examples.prompts(draw))
        latents = model.encode(examples.media(draw))
        noise = normal(model.latent_shape, 0, draw, "calibration noise")
        time = integers(1000, 0, draw, "calibration timestep")
        model.predict(model.noised(latents, time, noise), time, conditions)
    handle.remove()
    assert len(seen) == SAMPLES
    return seen


def some(model: PipelineModel, component: str, granularity: str, paths: list[str]) -> list[Unit]:
    units = model.units([granularity], [component])
    return [unit for unit in units if any(unit.path.endswith(path) for path in paths)][:6]


@pytest.mark.parametrize(
    ("component", "paths"),
    [
        ("text_encoder", ["layers.0.self_attn.q_proj", "layers.1.mlp.fc2"]),
        ("denoiser", ["time_embedding.linear_1", "attn2.to_k", "ff.net.2"]),
    ],
)
def test_linear_weights_by_a_loop(
    model: PipelineModel, examples: Examples, component: str, paths: list[str]
) -> None:
    units = some(model, component, "weight", paths)
    scores = scored(model, units, Wanda(samples=SAMPLES, batch_size=4), examples)
    for unit in units:
        linear = model.components[component].get_submodule(unit.path)
        seen = inputs_of(model, linear, examples)
        halves = zip(scores.of_halves(unit), (seen[:4], seen[4:]), strict=True)
        for found, samples in [(scores[unit.name], seen), *halves][: 3 if unit is units[0] else 1]:
            total = [0.0] * linear.in_features
            for sample in samples:
                for token in sample.reshape(-1, linear.in_features).double():
                    total = [sum_ + x * x for sum_, x in zip(total, token.tolist(), strict=True)]
            norms = torch.tensor([math.sqrt(each / len(samples)) for each in total], dtype=torch.float64)
            expected = linear.weight.double().abs() * norms
            assert torch.allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-12)


def test_rounds_stop_where_halves_agree_and_take_all_where_they_never_do(
    model: PipelineModel, examples: Examples
) -> None:
    units = some(model, "text_encoder", "weight", ["layers.1.mlp.fc2"])
    soon, never = (
        scored(model, units, Wanda(samples=6, batch_size=2, stable=stable), examples)
        for stable in (0.5, 1 - 1e-12)
    )
    assert (soon.samples, soon.halves) == (6, (3, 3)), "two rounds at least"
    assert (never.samples, never.halves) == (6, (3, 3))
    torch.testing.assert_close(
        never[units[0].name],
        scored(model, units, Wanda(samples=6), examples)[units[0].name],
        rtol=1e-4,
        atol=0,
    )


def test_convolution_weights_by_a_loop(model: PipelineModel, examples: Examples) -> None:
    unit = some(model, "denoiser", "conv_weight", ["downsamplers.0.conv"])[0]
    conv = model.components["denoiser"].get_submodule(unit.path)
    score = scored(model, [unit], Wanda(samples=SAMPLES), examples)[unit.name].reshape(conv.weight.shape)
    total = torch.zeros(conv.weight.shape[1:], dtype=torch.float64)
    for sample in inputs_of(model, conv, examples):
        padded = nn.functional.pad(sample.double(), (1, 1, 1, 1))
        for top in range(0, padded.shape[1] - 2, 2):  # stride 2
            for left in range(0, padded.shape[2] - 2, 2):
                total += padded[:, top : top + 3, left : left + 3] ** 2
    expected = conv.weight.double().abs() * (total / SAMPLES).sqrt()
    assert torch.allclose(score, expected, rtol=1e-4, atol=1e-12)


def test_a_grouped_convolution_reads_its_own_channels(model: PipelineModel) -> None:
    from prunelab.core.units import Gate, Slice
    from prunelab.scorers.wanda import _score

    root = nn.Sequential(nn.Conv2d(4, 6, 1, groups=2))
    unit = Unit("denoiser", "0", "conv_weight", 12, (Slice("0.weight", flat=True),), Gate("0", "weight"), "0",
                matrix=(6, 2))  # fmt: skip
    squares = torch.tensor([1.0, 4.0, 9.0, 16.0], dtype=torch.float64)
    norms = torch.tensor([[1.0, 2.0]] * 3 + [[3.0, 4.0]] * 3, dtype=torch.float64)
    expected = root[0].weight.detach().double().abs().reshape(6, 2) * norms
    assert torch.allclose(_score(unit, root, squares).reshape(6, 2), expected)


def test_padding_tokens_count_or_do_not(model: PipelineModel, examples: Examples) -> None:
    unit = some(model, "text_encoder", "weight", ["layers.0.self_attn.q_proj"])[0]
    linear = model.components["text_encoder"].get_submodule(unit.path)
    real = model.real_tokens(examples.prompts(range(SAMPLES)))
    assert 0 < int(real.sum()) < real.numel()
    seen = inputs_of(model, linear, examples)
    total = sum(sample[mask].double().square().sum(dim=0) for sample, mask in zip(seen, real, strict=True))
    expected = linear.weight.double().abs() * (total / SAMPLES).sqrt()
    without = scored(model, [unit], Wanda(samples=SAMPLES, padding=False), examples)[unit.name]
    assert torch.allclose(without.reshape(expected.shape), expected, rtol=1e-4, atol=1e-12)
    assert not torch.allclose(without, scored(model, [unit], Wanda(samples=SAMPLES), examples)[unit.name])


def test_batches_and_ranks_agree(model: PipelineModel, examples: Examples) -> None:
    """One batch of 6, batches of 4 and 2, and two ranks that share out the chunks."""
    units = model.units(["weight"], ["text_encoder", "denoiser"])[::11]
    six, four, two = (
        next(Wanda(samples=SAMPLES, batch_size=size).passes(model, units, examples)) for size in (6, 4, 2)
    )
    whole, parts = (observe(each, Hardware(), "score") for each in (six, four))
    cpu = torch.device("cpu")
    ranks = [[two.observe(rows, cpu) for rows in two.batches[first::2]] for first in (0, 1)]
    for name, value in whole.items():
        shared = sum(sum(chunk[name] for chunk in rank) for rank in ranks)
        assert torch.allclose(value, parts[name], rtol=1e-4)
        assert torch.allclose(value, shared, rtol=1e-4)


def test_scoring_leaves_no_hooks(model: PipelineModel, examples: Examples) -> None:
    units = model.units(["weight"], ["text_encoder", "denoiser"])
    scored(model, units, Wanda(samples=2), examples)
    modules = [module for component in model.components.values() for module in component.modules()]
    assert not any(module._forward_pre_hooks for module in modules)


def test_what_a_model_runs_to_know_itself_is_not_counted(examples: Examples) -> None:
    """A model that was just opened looks once at how it reads prompts and decodes; scores do not see it."""
    found = []
    for known in (False, True):
        model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
        if known:
            conditions = model.embed(["", "a"])
            assert conditions is not None
            assert len(conditions[torch.tensor([1])]) == 1
            model.encode(examples.media(range(1)))
        units = model.units(["weight"], ["text_encoder", "denoiser"])
        scorer = Wanda(samples=SAMPLES, batch_size=SAMPLES)
        found.append(scored(model, units, scorer, examples))
    fresh, used = found
    assert all(torch.equal(scores, used[name]) for name, scores in fresh.items())
