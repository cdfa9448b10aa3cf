"""Latent shift against a loop that removes one element at a time and shares no code with the scorer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.halves import Averaged
from prunelab.core.scores import keep_all
from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.latent_shift import LatentShift
from prunelab.stages.bench import Part
from prunelab.stages.prune import slimmed
from prunelab.stages.score import check_scorer, follow
from prunelab.trainers.hardware import Hardware

PROMPTS = [
    "a red seven on a blue background",
    "a white two on a black background",
    "a pink nine on a grey background",
]


class Prompts:
    def prompts(self, draws: range) -> list[str]:
        return [PROMPTS[i % len(PROMPTS)] for i in draws]


def followed(model: PipelineModel, units: list[Unit], scorer: LatentShift) -> Averaged:
    scores = follow(scorer.passes(model, units, Prompts()), Hardware())
    assert isinstance(scores, Averaged)
    return scores


def scored(model: PipelineModel, units: list[Unit], scorer: LatentShift) -> Tensor:
    scores = followed(model, units, scorer)
    return torch.cat([scores[unit.name] for unit in units])


def latents(model: PipelineModel, samples: int, steps: int) -> np.ndarray:
    """Latents after every step of a plain DDIM loop over v-predictions, shape (samples, steps, ...)."""
    scheduler = model.pipeline.scheduler
    rows = []
    for i in range(samples):
        current = normal(model.latent_shape, 0, [i], "calibration latents").double()
        conditions = model.embed([PROMPTS[i % len(PROMPTS)]])
        passed = []
        times = [round(1000 - k * 1000 / steps) - 1 for k in range(steps)]
        for now, then in zip(times, [*times[1:], -1], strict=True):
            bar = float(scheduler.alphas_cumprod[now])
            after = (
                float(scheduler.alphas_cumprod[then]) if then >= 0 else float(scheduler.final_alpha_cumprod)
            )
            velocity = model.predict(current.float(), torch.tensor([now]), conditions).double()
            clean = bar**0.5 * current - (1 - bar) ** 0.5 * velocity
            noise = bar**0.5 * velocity + (1 - bar) ** 0.5 * current
            current = after**0.5 * clean + (1 - after) ** 0.5 * noise
            passed.append(current[0].numpy())
        rows.append(passed)
    return np.array(rows)


@torch.no_grad()
@pytest.mark.parametrize("granularity", ["operator", "block", "head"])
def test_equals_removing_one_element_at_a_time(model: PipelineModel, granularity: str) -> None:
    units = model.units([granularity], ["denoiser"])[::9]
    dense = latents(model, 4, 2)[:, -1]
    scores = followed(model, units, LatentShift(samples=4, steps=2, batch_size=5))
    expected = []  # by all samples, and by either half of them
    for unit in units:
        for element in range(unit.elements):
            plan = keep_all(units)
            plan[unit.name][element] = False
            without = latents(slimmed(model, units, plan), 4, 2)[:, -1]
            pairs = [(without[part], dense[part]) for part in (slice(4), slice(2), slice(2, 4))]
            means = [np.linalg.norm(one.mean(0) - other.mean(0)) for one, other in pairs]
            stds = [np.linalg.norm(one.std(0) - other.std(0)) for one, other in pairs]
            expected.append(np.add(means, stds))
    found = [torch.stack([scores[unit.name], *scores.of_halves(unit)], dim=1) for unit in units]
    assert np.allclose(torch.cat(found).numpy(), expected, rtol=2e-3, atol=1e-4)


def test_rounds_that_never_agree_take_all_samples_and_score_as_without(
    model: PipelineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunelab.core.halves.agreements", lambda *_: {"few agree by chance": 0.0})
    units = model.units(["block"], ["denoiser"])[:2]
    knobs = LatentShift(samples=5, steps=1, batch_size=8, ddof=1)
    scores = followed(model, units, replace(knobs, stable=0.5))
    assert (scores.samples, scores.halves) == (5, (4, 1))
    every = torch.cat([scores[unit.name] for unit in units])
    torch.testing.assert_close(every, scored(model, units, knobs), rtol=1e-4, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("granularity", ["neuron", "free_channel", "norm_group"])
def test_many_elements_of_one_unit_at_a_time(model: PipelineModel, granularity: str) -> None:
    """Every neuron of a feed-forward in one go, of which a few are removed from the network itself."""
    unit = model.units([granularity], ["denoiser"])[2]
    dense = latents(model, 2, 1)[:, -1]
    scores = scored(model, [unit], LatentShift(samples=2, steps=1, batch_size=64))
    assert scores.shape == (unit.elements,)
    for element in (0, unit.elements // 2, unit.elements - 1):
        plan = keep_all([unit])
        plan[unit.name][element] = False
        without = latents(slimmed(model, [unit], plan), 2, 1)[:, -1]
        shift = np.linalg.norm(without.mean(0) - dense.mean(0)) + np.linalg.norm(
            without.std(0) - dense.std(0)
        )
        assert float(scores[element]) == pytest.approx(shift, rel=2e-3, abs=1e-5)


@torch.no_grad()
def test_variants_by_the_formula(model: PipelineModel) -> None:
    units = model.units(["block"], ["denoiser"])[3:4]
    dense = latents(model, 4, 2)
    without = latents(slimmed(model, units, {units[0].name: torch.tensor([False])}), 4, 2)

    def distances(ddof: int) -> np.ndarray:  # shape (2 statistics, steps)
        shifts = [without.mean(0) - dense.mean(0), without.std(0, ddof=ddof) - dense.std(0, ddof=ddof)]
        return np.array([[np.linalg.norm(step) for step in shift] for shift in shifts])

    expected = {
        LatentShift(samples=4, steps=2, per_timestep=True): distances(0).sum(),
        LatentShift(samples=4, steps=2, squared=True): (distances(0)[:, -1] ** 2).sum(),
        LatentShift(samples=4, steps=2, ddof=1): distances(1)[:, -1].sum(),
    }
    for scorer, value in expected.items():
        assert float(scored(model, units, scorer)) == pytest.approx(value, rel=2e-3)


def test_one_batch_of_8_equals_two_of_4(model: PipelineModel) -> None:
    units = model.units(["block"], ["denoiser"])[:4]
    eight = scored(model, units, LatentShift(samples=8, steps=2, batch_size=8))
    four = scored(model, units, LatentShift(samples=8, steps=2, batch_size=4))
    many = scored(
        model, units, LatentShift(samples=8, steps=2, batch_size=40)
    )  # five ablations in one forward
    assert torch.allclose(eight, four, rtol=1e-4)
    assert torch.allclose(eight, many, rtol=1e-4)
    assert torch.equal(eight.argsort(), four.argsort())
    assert torch.equal(eight.argsort(), many.argsort())


def test_a_batch_gives_its_own_elements_and_equal_prompts_are_embedded_once(
    model: PipelineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten ablations, each batch of four rows sees two; all batches ask for the same two prompts."""
    asked, embed = list[tuple[str, ...]](), model.embed
    monkeypatch.setattr(model, "embed", lambda prompts: asked.append(tuple(prompts)) or embed(prompts))
    units = model.units(["block"], ["denoiser"])[:9]
    scorer = LatentShift(samples=2, steps=1, batch_size=4)
    observation = next(scorer.passes(model, units, Prompts()))
    given = [observation.observe(rows, torch.device("cpu")) for rows in observation.batches[1:3]]
    for first, statistics in zip((2, 4), given, strict=True):
        for value in statistics.values():
            assert value.shape == (10, 1, *model.latent_shape)
            assert value.coalesce().indices().tolist() == [[first, first + 1]]
    assert asked == [tuple(PROMPTS[:2] * 2)]


def test_components_outside_the_sampler_are_refused(model: PipelineModel) -> None:
    with pytest.raises(Refusal, match="scorer=latent_shift cannot score text_encoder: it sees denoiser"):
        check_scorer(Part("latent_shift", LatentShift(), {}), model.units(["head"], ["text_encoder"]))
