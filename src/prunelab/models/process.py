"""The diffusion process around a denoiser: noising, training targets and the sampler's loop.

Works with any diffusers scheduler that has ``alphas_cumprod`` (DDPM, DDIM, PNDM, DPM-Solver ...).

Backpropagation through the sampler can be checkpointed at every step (Zhang et al. 2024, arXiv 2412.02852,
after Chen et al. 2016): memory grows by one latent per step, for one forward pass more.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from prunelab.core.errors import Refusal
from prunelab.models.spacing import QuadraticSampler

Denoise = Callable[[Tensor, Tensor], Tensor]
Within = Callable[[int], AbstractContextManager[None]]

# Schedulers whose step is a function of the latents and the timestep alone, so that it can be repeated.
REPEATABLE = ("DDIMScheduler", "EulerDiscreteScheduler", "FlowSampler", "QuadraticSampler")


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
    scheduler: Any,
    denoise: Denoise,
    latents: Tensor,
    steps: int,
    *,
    last: bool = False,
    checkpointed: bool = False,
    within: Within = lambda _: nullcontext(),
    quadratic: bool = False,
) -> Tensor:
    """Latents after every step, shape (steps, batch, ...), from standard normal ``latents``.

    The sampler is deterministic (eta 0) and differentiable; the scheduler itself is left as it was.
    The options: see :class:`prunelab.core.protocols.SamplingOptions`.
    Refuses to checkpoint a scheduler whose steps look at earlier ones or draw noise.
    """
    scheduler = QuadraticSampler(scheduler) if quadratic else copy.deepcopy(scheduler)
    if checkpointed:
        _check_repeatable(scheduler)
    scheduler.set_timesteps(steps, device=latents.device)
    current = latents * scheduler.init_noise_sigma
    passed: list[Tensor] = []
    for index in range(len(scheduler.timesteps)):
        advance = partial(_repeatably if checkpointed else _advance, scheduler, denoise, within, index)
        current = advance(current)
        passed = [current] if last else [*passed, current]
    return torch.stack(passed)


def _advance(scheduler: Any, denoise: Denoise, within: Within, index: int, current: Tensor) -> Tensor:
    """One step of the sampler."""
    timestep = scheduler.timesteps[index]
    noisy = scheduler.scale_model_input(current, timestep)
    with within(index):
        output = denoise(noisy, timestep.expand(len(current)))
    result: Tensor = scheduler.step(output, timestep, current).prev_sample
    return result


def _repeatably(scheduler: Any, denoise: Denoise, within: Within, index: int, current: Tensor) -> Tensor:
    """One step of the sampler, of which backpropagation keeps ``current`` alone.

    The backward pass runs the step a second time and goes through it once, for the latents and for
    whatever else the step reads (gates, conditions, weights) together.
    """

    def advance(current: Tensor) -> Tensor:  # schedulers count their steps: each repetition has a fresh one
        return _advance(copy.copy(scheduler), denoise, within, index, current)

    # The global generator is left alone: a step draws what it draws by its number.
    result: Tensor = checkpoint(advance, current, use_reentrant=False, preserve_rng_state=False)
    return result


def _check_repeatable(scheduler: Any) -> None:
    kind = type(scheduler).__name__
    if kind not in REPEATABLE:
        raise Refusal(
            f"the sampler's steps cannot be repeated one by one with a {kind}, as backpropagation through it "
            f"needs: use a model whose scheduler is one of {', '.join(REPEATABLE)}"
        )
