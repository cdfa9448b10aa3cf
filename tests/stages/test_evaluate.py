"""Evaluation against plain calls of the diffusers pipeline, and what of a request decides its noise."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from states import states
from torch import Tensor

from prunelab.core.draws import integers, normal
from prunelab.core.errors import Refusal
from prunelab.core.tasks import Examples
from prunelab.evaluation.evaluation import Evaluation
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.bench import Artifact, Bench, Part
from prunelab.stages.evaluate import evaluate, load_samples, sample
from prunelab.stages.judged import judge_real, load_judgement
from prunelab.stages.prune import slimmed

KNOBS = Evaluation(
    seed=5, seeds=2, samples=4, steps=3, guidance=2.0, batch_size=3, real=8, held_out=6, seen=3
)
MakeBench = Callable[..., Bench]


def part(knobs: Evaluation = KNOBS) -> Part[Evaluation]:
    return Part("test", knobs, asdict(knobs))


@pytest.fixture
def bench(make_bench: MakeBench, tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


@pytest.fixture
def dense(bench: Bench) -> Artifact:
    return sample(bench, bench.model, "dense-by-hand", part())


def pruned(model: PipelineModel) -> PipelineModel:
    """The model without one attention head in each of a few layers."""
    units = model.units(["head"], ["denoiser"])[:6]
    plan = {unit.name: torch.arange(unit.elements) > 0 for unit in units}
    return slimmed(model, units, plan)


def drawn(model: PipelineModel, prompts: list[str]) -> Tensor:
    """What diffusers' own pipeline draws from the evaluation's noise, uint8 (2, 4, 3, 32, 32)."""
    noise = normal(model.latent_shape, 5, range(8), "evaluation latents")
    model.pipeline.set_progress_bar_config(disable=True)
    images = model.pipeline(
        prompts * 2, latents=noise, num_inference_steps=3, guidance_scale=2.0, output_type="pt"
    ).images
    return (images * 255).round().to(torch.uint8).unflatten(0, (2, 4))


def test_samples_are_what_the_pipeline_draws(bench: Bench, dense: Artifact) -> None:
    samples = load_samples(dense)
    expected = drawn(bench.model, bench.task.test(4).prompts)
    assert samples.media.dtype == torch.uint8
    assert (samples.media.int() - expected.int()).abs().max() <= 1  # of round-off before rounding
    assert not torch.equal(samples.media[0], samples.media[1]), "sampling seeds have noise of their own"
    judged = bench.task.judged(expected.flatten(0, 1))
    torch.testing.assert_close(samples.features.flatten(0, 1), judged.features, rtol=1e-2, atol=5e-2)
    assert samples.predictions.keys() == samples.confidences.keys() == {"digit", "foreground", "background"}
    assert (samples.predictions["digit"].flatten() == judged.predictions["digit"]).float().mean() > 0.8


def test_held_out_outputs(bench: Bench, dense: Artifact) -> None:
    model, examples = bench.model, bench.task.test(6)
    with torch.no_grad():
        latents = model.pipeline.vae.encode(examples.media / 127.5 - 1).latent_dist.mean
        latents = latents * model.pipeline.vae.config.scaling_factor
        noise = normal(latents.shape[1:], 5, range(6), "held-out noise")
        times = integers(1000, 5, range(6), "held-out timestep")
        bar = model.pipeline.scheduler.alphas_cumprod[times][:, None, None, None]
        noisy = bar.sqrt() * latents + (1 - bar).sqrt() * noise
        conditions = states(model, examples.prompts)
        expected = model.components["denoiser"](noisy, times, encoder_hidden_states=conditions).sample
    torch.testing.assert_close(load_samples(dense).outputs, expected, rtol=1e-4, atol=1e-4)


def test_metrics_of_a_pruned_model(bench: Bench, dense: Artifact) -> None:
    other = sample(bench, pruned(bench.model), "pruned-by-hand", part())
    own = evaluate(bench, dense, dense, part(), [])
    measured = evaluate(bench, other, dense, part(), [])
    outputs = [load_samples(each).outputs.double() for each in (other, dense)]
    distance = (outputs[0] - outputs[1]).square().mean()
    assert measured["output_distance"].value == pytest.approx(float(distance))
    assert measured["output_distance"].n == 6
    assert (own["output_distance"].value, own["ssim"].value, own["psnr"].value) == (0, pytest.approx(1), None)
    assert (measured["ssim"].value or 1) < 1
    assert measured["ssim"].n == 4, "prompts, of which each is drawn under two seeds"


def test_real_examples_are_judged_once(
    bench: Bench, dense: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another state finds what the judge said, and what is stored reads no media."""
    evaluate(bench, dense, dense, part(), [])
    judged = bench.task.judged(bench.task.test(KNOBS.real).media)

    def unread(*_: object) -> None:
        raise AssertionError("real media were read again")

    monkeypatch.setattr(Examples, "media", property(unread))
    found = load_judgement(judge_real(bench, KNOBS.real))
    assert torch.equal(found.features, judged.features)
    assert found.predictions.keys() == judged.predictions.keys()
    assert all(torch.equal(found.predictions[name], judged.predictions[name]) for name in judged.predictions)
    again = sample(bench, bench.model, "dense-by-hand", part())
    assert again.address == dense.address
    evaluate(bench, again, dense, part(replace(KNOBS, seed=6)), [])


def test_prompts_that_recovery_saw_are_judged_apart(bench: Bench, dense: Artifact) -> None:
    measured = evaluate(bench, dense, dense, part(), [])
    asked, samples = bench.task.seen(3), load_samples(dense, "seen")
    noise = normal(bench.model.latent_shape, 5, range(6), "evaluation latents of seen prompts")
    with torch.no_grad():
        latents = bench.model.sample(bench.model.embed(asked.prompts * 2), noise, 3, 2.0)[-1]
        expected = (bench.model.decode(latents) * 255).round()
    assert (samples.media.flatten(0, 1).float() - expected).abs().max() <= 1
    right = torch.stack([samples.predictions[name] == labels for name, labels in asked.labels.items()]).all(0)
    assert measured["prompt_accuracy_seen"].value == pytest.approx(right.float().mean().item())
    assert measured["prompt_accuracy_seen"].n == 3
    assert measured["prompt_accuracy"].warning is None, "the other prompts are held out"


def test_prompts_that_are_not_held_out_are_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(bench.task), "repeated", lambda task, count: 2)
    knobs = part(replace(KNOBS, seen=0))
    samples = sample(bench, bench.model, "repeated-by-hand", knobs)
    measured = evaluate(bench, samples, samples, knobs, [])
    assert measured["prompt_accuracy"].warning == "2 of the 4 prompts occur in the training split"
    assert "prompt_accuracy_seen" not in measured


def test_every_model_sees_the_same_noise(bench: Bench, dense: Artifact) -> None:
    """An equal model under another address has equal samples; another evaluation seed has others."""
    again = sample(bench, bench.model, "equal-by-hand", part())
    assert again.address != dense.address
    assert torch.equal(load_samples(again).media, load_samples(dense).media)
    assert torch.equal(load_samples(again).outputs, load_samples(dense).outputs)
    other = sample(bench, bench.model, "dense-by-hand", part(replace(KNOBS, seed=6)))
    assert not torch.equal(load_samples(other).media, load_samples(dense).media)
    assert not torch.equal(load_samples(other).outputs, load_samples(dense).outputs)


def test_the_batch_size_changes_nothing_beyond_round_off(bench: Bench, dense: Artifact) -> None:
    other = sample(bench, bench.model, "dense-by-hand", part(replace(KNOBS, batch_size=8)))
    difference = load_samples(other).media.int() - load_samples(dense).media.int()
    assert difference.abs().max() <= 1


def test_more_examples_than_there_are_is_refused(bench: Bench) -> None:
    with pytest.raises(Refusal, match="33 held-out examples, the data has 32"):
        bench.task.check(33)
    bench.task.check(32)
