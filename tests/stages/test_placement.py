"""Nothing of an observation is left behind on the CPU: all of them on a device without any numbers."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from prunelab.bypasses.bypasses import Bypasses
from prunelab.core.observation import Observation
from prunelab.evaluation.evaluation import Evaluation
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.latent_shift import LatentShift
from prunelab.scorers.taylor import Taylor
from prunelab.scorers.wanda import Wanda
from prunelab.stages.bypass import activations
from prunelab.stages.encode import encoding
from prunelab.stages.evaluate import held_out_outputs, sampling

ELSEWHERE = torch.device("meta")
PROMPTS = ["a red seven on a blue background"] * 4
MEDIA = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
EXAMPLES: Any = SimpleNamespace(
    prompts=lambda draws: PROMPTS[: len(draws)], media=lambda draws: MEDIA[: len(draws)]
)
FEW = {"samples": 4, "batch_size": 4}


@pytest.fixture(scope="module")
def model(model: PipelineModel) -> PipelineModel:
    """The embedded model without its numbers; its sampler takes one step, whose levels need none."""
    parts = {name: copy.deepcopy(part).to(ELSEWHERE) for name, part in model.components.items()}
    there = model.with_components(parts)

    def sample(conditions: Tensor, latents: Tensor, *_: object, **__: object) -> Tensor:
        timesteps = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
        return there.predict(latents, timesteps, conditions)[None]

    there.sample = sample  # type: ignore[method-assign]
    for seen in ("_inverse", "picture_shape"):  # from numbers
        setattr(there._autoencoding, seen, getattr(model._autoencoding, seen))
    return there


def observations(model: PipelineModel) -> Iterator[tuple[str, Observation]]:
    operators = model.units(["operator"], ["denoiser"], bypasses=True)
    weights = model.units(["weight"], ["text_encoder", "denoiser"])
    judged = SimpleNamespace(features=MEDIA, predictions={}, confidences={})
    task: Any = SimpleNamespace(stored=lambda media: media, judged=lambda media: judged)
    knobs = Evaluation(seeds=1, samples=4, batch_size=4)
    yield "latent shift", next(LatentShift(**FEW).passes(model, operators[:3], EXAMPLES))
    yield "wanda", next(Wanda(**FEW, padding=False).passes(model, weights, EXAMPLES))
    yield "losses", next(Taylor(**FEW, stride=500).passes(model, operators, EXAMPLES))
    yield "gradients", next(Taylor(**FEW, stride=500, threshold=None).passes(model, operators, EXAMPLES))
    changing = [unit for unit in operators if unit.gate.bypass is not None]
    yield "bypass", activations(model, changing, PROMPTS, Bypasses("least_squares", samples=4))
    yield "encoding", encoding(model, MEDIA)
    yield "held out", held_out_outputs(model, torch.zeros(4, *model.latent_shape), PROMPTS, 0)
    yield "sampling", sampling(model, task, knobs, PROMPTS, "test")


def test_every_observation_is_on_the_device_that_it_is_told(
    model: PipelineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunelab.stages.evaluate._check_finite", lambda *_: None)  # it would read numbers
    for name, observation in observations(model):
        with torch.no_grad(), monkeypatch.context() as followed:
            if name in ("losses", "gradients"):  # on shapes alone they are not followed; here they are to be
                followed.setattr(torch, "inference_mode", nullcontext)
            given = observation.observe(observation.batches[0], ELSEWHERE)
        places = {key: value.device.type for key, value in given.items() if key != "features"}
        assert places, name
        assert set(places.values()) == {"meta"}, (name, places)
