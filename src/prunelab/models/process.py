"""The diffusion process around a denoiser: noising, training targets and the sampler's loop.

Works with any diffusers scheduler that has ``alphas_cumprod`` (DDPM, DDIM, PNDM, DPM-Solver ...).
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from prunelab.core.errors import Refusal


def noised(scheduler: Any, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
    """``sqrt(abar_t) x + sqrt(1 - abar_t) eps``, one timestep per sample."""
    result: Tensor = scheduler.add_noise(latents, noise, timesteps)
    return result


def target(scheduler: Any, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
    """What the denoiser should answer: noise (epsilon), velocity (Salimans & Ho 2022) or the sample."""
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return latents
    if kind == "v_prediction":
        velocity: Tensor = scheduler.get_velocity(latents, noise, timesteps)
        return velocity
    raise Refusal(f"the scheduler predicts {kind!r}: prunelab knows epsilon, v_prediction and sample")


def trajectory(
    scheduler: Any, denoise: Callable[[Tensor, Tensor], Tensor], latents: Tensor, steps: int
) -> Tensor:
    """Latents after every step, shape (steps, batch, ...), from standard normal ``latents``.

    The sampler is deterministic (eta 0) and differentiable; the scheduler itself is left as it was.
    """
    scheduler = copy.deepcopy(scheduler)
    scheduler.set_timesteps(steps, device=latents.device)
    current = latents * scheduler.init_noise_sigma
    passed = []
    for timestep in scheduler.timesteps:
        noisy = scheduler.scale_model_input(current, timestep)
        output = denoise(noisy, timestep.expand(len(latents)))
        current = scheduler.step(output, timestep, current).prev_sample
        passed.append(current)
    return torch.stack(passed)
