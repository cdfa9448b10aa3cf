"""Taylor scores against plain loops over tensors that share no code with the scorer."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import run_ranks
from safetensors.torch import load_file
from scipy.stats import spearmanr
from torch import Tensor, nn

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.halves import Averaged, agreements
from prunelab.core.units import Gate, Slice, Unit
from prunelab.costs.live_tensors import peak_of_new_tensors
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.taylor import Taylor, prefix
from prunelab.stages.score import follow
from prunelab.trainers.hardware import Hardware

PROMPTS = ["a red seven on a blue background", "a white two on a black background"]
JOB = Path(__file__).with_name("two_ranks_taylor.py")


class Pictures:
    """Noisy pictures and two prompts, by draw number."""

    def prompts(self, draws: range) -> list[str]:
        return [PROMPTS[i % 2] for i in draws]

    def media(self, draws: range) -> Tensor:
        return (normal((3, 32, 32), 5, draws, "pictures") * 60 + 128).clamp(0, 255).to(torch.uint8)


def scored(model: PipelineModel, units: list[Unit], scorer: Taylor) -> dict[str, Tensor]:
    return dict(follow(scorer.passes(model, units, Pictures()), Hardware()))


def gradients(model: PipelineModel, samples: int, timesteps: list[int]) -> dict[str, np.ndarray]:
    """Of the mean velocity loss, one example and one timestep at a time, by name."""
    unet, pipeline = model.components["denoiser"], model.pipeline
    named = dict(unet.named_parameters())
    total = {name: np.zeros(each.shape) for name, each in named.items()}
    unet.requires_grad_(True)
    for i in range(samples):
        picture = Pictures().media(range(i, i + 1)).float() / 127.5 - 1
        with torch.no_grad():
            clean = pipeline.vae.encode(picture).latent_dist.mean
            clean = (clean - (pipeline.vae.config.shift_factor or 0)) * pipeline.vae.config.scaling_factor
            tokens = pipeline.tokenizer(
                [PROMPTS[i % 2]], padding="max_length", max_length=pipeline.tokenizer.model_max_length
            )
            states = pipeline.text_encoder(torch.tensor(tokens.input_ids))[0]
        noise = normal(model.latent_shape, 0, [i], "calibration noise")
        for t in timesteps:
            bar = pipeline.scheduler.alphas_cumprod[t]
            noisy = bar.sqrt() * clean + (1 - bar).sqrt() * noise
            velocity = bar.sqrt() * noise - (1 - bar).sqrt() * clean
            answer = unet(noisy, torch.tensor([t]), encoder_hidden_states=states)[0]
            unet.zero_grad()
            ((answer - velocity) ** 2).mean().backward()
            for name, each in named.items():
                total[name] += each.grad.double().numpy() / samples
    unet.zero_grad()
    unet.requires_grad_(False)
    return total


@pytest.fixture(scope="module")
def reference(model: PipelineModel) -> dict[str, np.ndarray]:
    """w * g of every parameter, with gradients summed over t = 0, 300, 600 and 900."""
    found = gradients(model, 2, [0, 300, 600, 900])
    weights = {n: p.detach().double().numpy() for n, p in model.components["denoiser"].named_parameters()}
    return {name: weights[name] * found[name] for name in found}


def by_hand(parts: list[np.ndarray], importance: str) -> float:
    """The published formulas for one element's products w * g, weight by weight."""
    match importance:
        case "sum_abs":
            return sum(float(np.abs(part).sum()) for part in parts)
        case "abs_sum":
            return sum(abs(float(part.sum())) for part in parts)
    return sum(float((part**2).sum()) for part in parts)


def one(model: PipelineModel, granularity: str, ending: str) -> Unit:
    return next(u for u in model.units([granularity], ["denoiser"]) if u.path.endswith(ending))


@pytest.mark.parametrize("importance", ["sum_abs", "abs_sum", "squared"])
def test_channels_of_a_block_by_hand(
    model: PipelineModel, reference: Mapping[str, np.ndarray], importance: str
) -> None:
    unit = one(model, "channel", "resnets.0.conv1")
    block = unit.path.removesuffix(".conv1")
    got = scored(model, [unit], Taylor(2, None, 300, importance, 2))[unit.name]
    for channel in range(unit.elements):
        parts = [
            reference[f"{block}.conv1.weight"][channel],
            reference[f"{block}.conv2.weight"][:, channel],
            reference[f"{block}.time_emb_proj.weight"][channel],
        ]
        expected = by_hand(parts, importance)
        if importance == "squared":  # the experiments' code also counts the norm, unsquared
            expected += abs(reference[f"{block}.norm2.weight"][channel])
        assert float(got[channel]) == pytest.approx(expected, rel=1e-3)


def test_heads_neurons_operators_and_blocks_by_hand(
    model: PipelineModel, reference: Mapping[str, np.ndarray]
) -> None:
    head, neuron = one(model, "head", "attn1"), one(model, "neuron", "ff")
    conv, norm = one(model, "operator", "resnets.0.conv2"), one(model, "operator", "resnets.0.norm1")
    block = one(model, "block", "resnets.0")
    got = scored(model, [head, neuron, conv, norm, block], Taylor(2, None, 300, "sum_abs", 2))
    rows = slice(8, 16)  # the second of four heads
    inner = [reference[f"{head.path}.to_{name}.weight"][rows] for name in "qkv"]
    outer = reference[f"{head.path}.to_out.0.weight"][:, rows]
    halves = reference[f"{neuron.path}.net.0.proj.weight"][[5, 5 + 128]]
    expected = {
        float(got[head.name][1]): [*inner, outer],
        float(got[neuron.name][5]): [halves, reference[f"{neuron.path}.net.2.weight"][:, 5]],
        float(got[conv.name]): [reference[f"{conv.path}.weight"]],
        float(got[norm.name]): [reference[f"{norm.path}.weight"], reference[f"{norm.path}.bias"]],
        float(got[block.name]): [
            v for n, v in reference.items() if n.startswith(f"{block.path}.") and v.ndim > 1
        ],
    }
    for value, parts in expected.items():
        assert value == pytest.approx(by_hand(parts, "sum_abs"), rel=1e-3)


class Curve:
    """A linear model whose loss at timestep t is ``curve[t]`` times that of its weights."""

    timesteps = 8
    curve = torch.tensor([1.0, 0.6, 0.2, 0.04, 0.9, 0.01, 0.5, 2.0], dtype=torch.float64)

    def __init__(self) -> None:
        torch.manual_seed(0)
        linear = nn.Linear(3 * 32 * 32, 6, bias=False).double().requires_grad_(False)
        self.components = {"denoiser": linear}
        self.embedded = 0

    def embed(self, prompts: list[str]) -> None:
        """No conditions, but they are counted."""
        self.embedded += 1

    def encode(self, media: Tensor) -> Tensor:
        return media.double().flatten(1) / 255

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        return latents

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: None) -> Tensor:
        return self.curve[timesteps].sqrt()[:, None] * self.components["denoiser"](noisy)

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        return latents.new_zeros(len(latents), 6)


class Later(Pictures):
    """The same pictures from a later one on."""

    def __init__(self, start: int) -> None:
        self.start = start

    def media(self, draws: range) -> Tensor:
        return super().media(range(self.start + draws.start, self.start + draws.stop))


ROWS = Unit("denoiser", "", "channel", 6, (Slice("weight", 0),), Gate("", "input"), "")


@pytest.mark.parametrize(
    ("threshold", "stride", "chosen"),
    [
        (0.019, 1, [0, 1, 2, 3, 4]),  # 0.01 is below a share of the largest, 2.0, which lies behind it
        (0.05, 1, [0, 1, 2]),  # what rises again behind the first crossing is not taken back in
        (0.29, 1, [0, 1]),
        (0.0, 1, list(range(8))),
        (None, 1, list(range(8))),
        (0.05, 3, [0]),  # t = 0, 3, 6, of which 1.0 is the largest and 0.04 below
        (None, 3, [0, 3, 6]),
    ],
)
@pytest.mark.parametrize("first", [1, 8])
def test_the_prefix_of_a_known_loss_curve(
    threshold: float | None, stride: int, chosen: list[int], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one pass or in several, of which the last goes too far."""
    monkeypatch.setattr("prunelab.scorers.taylor.FIRST", first)
    model = Curve()
    scorer = Taylor(samples=4, threshold=threshold, stride=stride, batch_size=3)
    got = follow(scorer.passes(model, [ROWS], Pictures()), Hardware())
    assert isinstance(got, Averaged)
    assert model.embedded == 2, "once per batch, whatever the passes and the timesteps"
    weight = model.components["denoiser"].weight.numpy()
    pictures = Pictures().media(range(4)).double().flatten(1).numpy() / 255
    share = sum(float(Curve.curve[t]) for t in chosen)
    halves = zip(got.of_halves(ROWS), (pictures[:3], pictures[3:]), strict=True)  # batches of three and one
    for found, some in [(got[ROWS.name], pictures), *halves]:
        gradient = sum(np.outer(weight @ picture, picture) for picture in some) * 2 / 6 / len(some)
        assert np.allclose(found.numpy(), share * np.abs(weight * gradient).sum(axis=1), rtol=1e-6)


def test_rounds_double_until_halves_agree() -> None:
    """Agreement is Spearman's of two scorings, each of its own half; out of reach, all samples are taken."""
    knobs = Taylor(samples=12, threshold=None, stride=4, batch_size=4)
    plain, soon, never = (
        follow(replace(knobs, stable=stable).passes(Curve(), [ROWS], Pictures()), Hardware())
        for stable in (None, 0.01, 1 - 1e-12)
    )
    assert isinstance(soon, Averaged)
    assert isinstance(never, Averaged)
    assert (soon.samples, soon.halves) == (8, (4, 4))
    halves = [
        follow(replace(knobs, samples=4).passes(Curve(), [ROWS], Later(start)), Hardware())[ROWS.name]
        for start in (0, 4)
    ]
    agreed = agreements(soon, [ROWS], {})["denoiser/channel"]
    assert agreed == pytest.approx(spearmanr(*halves).statistic, abs=1e-12)
    torch.testing.assert_close(never[ROWS.name], plain[ROWS.name], rtol=1e-12, atol=0)
    assert (never.samples, never.halves) == (12, (8, 4))


class Layers(Curve):
    """The same loss curve by 16 layers in single precision."""

    curve = Curve.curve.float()

    def __init__(self) -> None:
        layers = [nn.Linear(3 * 32 * 32, 8, bias=False).requires_grad_(False) for _ in range(16)]
        self.components = {"denoiser": nn.ModuleList(layers)}
        self.embedded = 0

    def encode(self, media: Tensor) -> Tensor:
        return super().encode(media).float()

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: None) -> Tensor:
        outputs = torch.stack([layer(noisy) for layer in self.components["denoiser"]])
        return self.curve[timesteps].sqrt()[:, None] * outputs.sum(dim=0)

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        return latents.new_zeros(len(latents), 8)


@pytest.mark.parametrize(
    ("knobs", "most"),
    [
        (Taylor(4, None, batch_size=1), 2),  # all samples' gradients and the first half's
        (Taylor(4, 0.05, batch_size=2), 4),  # the last pass, which may go too far, apart from those before
        (Taylor(4, 0.05, batch_size=4), 2),  # one batch has no halves
        (Taylor(8, None, batch_size=1, stable=0.999), 2),
    ],
)
def test_no_set_of_gradients_is_held_longer_than_it_is_needed(
    knobs: Taylor, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides the sums one batch's gradients, in single precision, and a few layers' at work."""
    monkeypatch.setattr("prunelab.scorers.taylor.FIRST", 1)
    rows = [replace(ROWS, path=str(i), elements=8, slices=(Slice(f"{i}.weight", 0),)) for i in range(16)]
    full, model = 16 * 8 * 3 * 32 * 32 * 8, Layers()
    peak = peak_of_new_tensors(lambda: follow(knobs.passes(model, rows, Pictures()), Hardware()))
    assert peak < (most + 0.8) * full


def test_prefix_on_its_own() -> None:
    assert prefix(torch.tensor([1.0, 0.5, 0.1, 0.5]), 0.1) == 2  # at the threshold is not above it
    assert prefix(torch.tensor([1.0, 0.5]), 0.0) == 2
    assert prefix(torch.tensor([1.0, 0.5, 0.1, 0.5]), 0.1, crossing=True) == 3
    assert prefix(torch.tensor([1.0, 0.5]), 0.0, crossing=True) == 2
    with pytest.raises(Refusal, match="threshold=null"):
        prefix(torch.tensor([0.01, 1.0]), 0.05)


def test_one_batch_of_8_equals_two_of_4(model: PipelineModel) -> None:
    units = model.units(["channel"], ["denoiser"])[:6]
    eight = scored(model, units, Taylor(8, 0.25, 250, batch_size=8))
    four = scored(model, units, Taylor(8, 0.25, 250, batch_size=4))
    for unit in units:
        assert torch.allclose(eight[unit.name], four[unit.name], rtol=1e-3)


def test_the_model_is_left_as_it_was(model: PipelineModel) -> None:
    scored(model, model.units(["head"], ["denoiser"])[:2], Taylor(2, None, 500))
    parameters = list(model.components["denoiser"].parameters())
    assert not any(parameter.requires_grad for parameter in parameters)
    assert all(parameter.grad is None for parameter in parameters)


def test_the_text_encoder_is_reached_and_the_autoencoder_is_not(model: PipelineModel) -> None:
    words = model.units(["head"], ["text_encoder"])
    assert all(score.min() > 0 for score in scored(model, words, Taylor(2, None, 500)).values())
    pixels = model.units(["operator"], ["vae"])
    with pytest.raises(Refusal, match="cannot score vae"):
        scored(model, pixels, Taylor(2, None, 500))


def test_knobs_that_mean_nothing_are_refused() -> None:
    with pytest.raises(Refusal, match="sum_abs, abs_sum, squared"):
        Taylor(importance="abs")
    with pytest.raises(Refusal, match="threshold=1"):
        Taylor(threshold=1.0)
    with pytest.raises(Refusal, match="stride=0"):
        Taylor(stride=0)
    with pytest.raises(Refusal, match=r"scorer\.threshold=null, or scorer\.stable=null"):
        Taylor(stable=0.9)
    with pytest.raises(Refusal, match="stable=1"):
        Taylor(threshold=None, stable=1.0)


def test_two_ranks_score_as_one_does(tmp_path: Path) -> None:
    """The prefix comes from both ranks' losses: rank 0's examples alone would give another."""
    one_rank, two_ranks = (_scores_of_ranks(tmp_path / str(n), n) for n in (1, 2))
    assert one_rank.keys() == two_ranks.keys()
    for name, score in one_rank.items():
        torch.testing.assert_close(two_ranks[name], score, rtol=1e-12, atol=0)


def _scores_of_ranks(folder: Path, processes: int) -> dict[str, Tensor]:
    folder.mkdir()
    run_ranks(JOB, [str(folder)], folder, processes)
    return load_file(folder / "result.safetensors")
