"""Rectified flow around a denoiser (Liu et al. 2022; Esser et al. 2024, arXiv 2403.03206).

Latents at noise level sigma are ``(1 - sigma) x + sigma eps``, the denoiser answers the velocity
``eps - x``, and the sampler takes Euler steps from sigma 1 to 0.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch import Tensor


class Step(NamedTuple):
    """prev_sample: latents one step further, as diffusers' schedulers name them."""

    prev_sample: Tensor


class FlowSampler:
    """A FlowMatchEulerDiscreteScheduler's noise levels with steps that can be repeated one by one.

    tokens: of the image, which shift the levels of schedulers that go by the resolution.
    """

    init_noise_sigma = 1.0

    def __init__(self, scheduler: Any, tokens: int) -> None:
        self.scheduler, self.tokens = scheduler, tokens
        self.timesteps = self.sigmas = torch.empty(0)

    def set_timesteps(self, steps: int, device: torch.device | str | None = None) -> None:
        """Timesteps (steps,), in thousandths of sigma for 1000 of them, and sigmas (steps + 1,)."""
        config = self.scheduler.config
        known = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
        mu = calculate_shift(self.tokens, *(config[name] for name in known))
        inner = copy.deepcopy(self.scheduler)
        inner.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), device=device, mu=mu)
        self.timesteps, self.sigmas = inner.timesteps, inner.sigmas

    def scale_model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """The latents as they are."""
        return latents

    def step(self, output: Tensor, timestep: Tensor, latents: Tensor) -> Step:
        """One Euler step along the velocity ``output``."""
        index = int((self.timesteps == timestep).nonzero()[0, 0])
        return Step(latents + (self.sigmas[index + 1] - self.sigmas[index]) * output)


def levels(timesteps: Tensor, count: int, like: Tensor) -> Tensor:
    """Sigma of each timestep out of ``count``, shaped to multiply latents ``like`` these."""
    sigmas = timesteps.to(like.device, like.dtype) / count
    return sigmas.reshape(-1, *[1] * (like.ndim - 1))
