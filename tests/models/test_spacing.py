"""Quadratically spaced timesteps against DDIM written out, and what has none."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.models.spacing import QuadraticSampler

NOISE = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def scheduler(kind: str = "epsilon", **settings: object) -> DDIMScheduler:
    return DDIMScheduler(num_train_timesteps=1000, prediction_type=kind, clip_sample=False, **settings)


def answer(latents: Tensor, timestep: Tensor) -> Tensor:
    """Something like a denoiser: bounded, and different at each timestep."""
    return torch.tanh(latents + timestep.reshape(-1, 1, 1, 1) / 500)


def by_hand(kind: str, steps: int) -> Tensor:
    """Diffusion steps of DDIM (eta 0) over the places of Song et al.'s code, repetitions and all."""
    bars = [1.0]  # before the first timestep nothing is noise
    for beta in torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).tolist():
        bars.append(bars[-1] * (1 - beta))
    places = [int(place) for place in np.linspace(0, np.sqrt(1000 * 0.8), steps) ** 2]
    latents = NOISE.double()
    for now, then in zip(reversed(places), reversed([-1, *places[:-1]]), strict=True):
        bar, after = bars[now + 1], bars[then + 1]
        output = answer(latents.float(), torch.tensor([float(now)] * 2)).double()
        if kind == "epsilon":
            clean, noise = (latents - math.sqrt(1 - bar) * output) / math.sqrt(bar), output
        elif kind == "sample":
            clean, noise = output, (latents - math.sqrt(bar) * output) / math.sqrt(1 - bar)
        else:
            clean = math.sqrt(bar) * latents - math.sqrt(1 - bar) * output
            noise = math.sqrt(bar) * output + math.sqrt(1 - bar) * latents
        latents = math.sqrt(after) * clean + math.sqrt(1 - after) * noise
    return latents


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_quadratic_steps_by_hand(kind: str) -> None:
    own = scheduler(kind, beta_start=1e-4, beta_end=0.02, beta_schedule="linear")
    for steps in (5, 100):
        sampler, found = QuadraticSampler(own), NOISE
        sampler.set_timesteps(steps)
        for timestep in sampler.timesteps:
            found = sampler.step(answer(found, timestep.expand(2)), timestep, found).prev_sample
        assert torch.allclose(found.double(), by_hand(kind, steps), rtol=1e-3, atol=1e-3)


def test_the_timesteps_are_the_published_ones() -> None:
    sampler = QuadraticSampler(scheduler())
    sampler.set_timesteps(100)
    assert sampler.timesteps[0].item() == 800
    assert sampler.timesteps[-1].item() == 0
    assert sampler.timesteps.tolist() == sorted({*sampler.timesteps.tolist()}, reverse=True)
    assert int((sampler.timesteps < 200).sum()) > int((sampler.timesteps >= 600).sum()) * 2


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_step_is_diffusers_own(kind: str) -> None:
    """Between the same two timesteps, clipped as the scheduler clips."""
    own = DDIMScheduler(num_train_timesteps=1000, prediction_type=kind, clip_sample=True)
    own.set_timesteps(10)  # from t to t - 100
    sampler = QuadraticSampler(own)
    sampler.timesteps = torch.tensor([500, 400, 0])
    output = answer(NOISE, torch.tensor([500.0]))
    expected = own.step(output, 500, NOISE).prev_sample
    assert torch.allclose(sampler.step(output, torch.tensor(500), NOISE).prev_sample, expected, atol=1e-6)


def test_a_flow_has_no_such_timesteps() -> None:
    with pytest.raises(Refusal, match=r"evaluation\.spacing=scheduler"):
        QuadraticSampler(SimpleNamespace())
