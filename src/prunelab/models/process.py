"""The forward process and the training target, by the scheduler: a diffusion or a rectified flow.

Where a scheduler has ``alphas_cumprod`` the process is ``sqrt(abar_t) x + sqrt(1 - abar_t) eps`` (Ho et al.
2020), whatever solver samples it. A flow's is ``(1 - s) x + s eps`` at s = t / T, its target the velocity
``eps - x`` (Liu et al. 2022; Esser et al. 2024, arXiv 2403.03206). EDM's schedulers (Karras et al. 2022,
arXiv 2206.00364) noise ``x + s eps`` and say themselves how they precondition what goes in and comes out.
"""

import copy
from typing import Any, Protocol

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.once import once


class Process(Protocol):
    """Noisy latents and targets; one timestep per sample, in [0, T)."""

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Latents (b, ...) at timesteps (b,)."""

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """What the pipeline's prediction is trained towards."""

    def times(self, timesteps: Tensor) -> Tensor:
        """The timesteps as the scheduler counts them."""


def process_of(scheduler: Any) -> Process:
    """The process that ``scheduler`` samples from; refuses one that is none of those above."""
    if _flows(scheduler):
        return Flow(scheduler)
    if hasattr(scheduler, "alphas_cumprod"):
        return Diffusion(scheduler)
    if hasattr(scheduler, "precondition_noise"):
        return Preconditioned(scheduler)
    raise Refusal(
        f"a {type(scheduler).__name__} does not say how its model was trained: training, Taylor scores and "
        "held-out outputs need a diffusion (alphas_cumprod), a rectified flow or EDM; sampling does not"
    )


def _flows(scheduler: Any) -> bool:
    config = scheduler.config
    told = config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction"
    return bool(told) or "FlowMatch" in type(scheduler).__name__


class Diffusion:
    """Of a scheduler with ``alphas_cumprod``, whose prediction is noise, velocity or the sample."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = copy.copy(scheduler)  # noising takes its levels to the latents' device for good

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """``sqrt(abar_t) x + sqrt(1 - abar_t) eps``."""
        return torch.as_tensor(DDPMScheduler.add_noise(self.scheduler, latents, noise, timesteps))

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Noise (epsilon), velocity (Salimans & Ho 2022) or the sample."""
        kind = self.scheduler.config.get("prediction_type", "epsilon")
        if kind == "epsilon":
            return noise
        if kind == "sample":
            return latents
        if kind == "v_prediction":
            return torch.as_tensor(DDPMScheduler.get_velocity(self.scheduler, latents, noise, timesteps))
        raise Refusal(f"the scheduler predicts {kind!r}: prunelab knows epsilon, v_prediction and sample")

    def times(self, timesteps: Tensor) -> Tensor:
        """As they are."""
        return timesteps


class Flow:
    """Of a scheduler that goes straight from noise to data."""

    def __init__(self, scheduler: Any) -> None:
        self.count: int = scheduler.config.num_train_timesteps

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """``(1 - s) x + s eps``."""
        levels = _like(timesteps / self.count, latents)
        return (1 - levels) * latents + levels * noise

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """The velocity."""
        return noise - latents

    def times(self, timesteps: Tensor) -> Tensor:
        """As floating-point numbers."""
        return timesteps.float()


class Preconditioned:
    """Of EDM's schedulers, which say themselves what they put in and make of the output.

    Timestep t of T is the noise level ``low (high / low)^(t / (T - 1))``.
    """

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self.count: int = scheduler.config.get("num_train_timesteps", 1000)

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """``c_in (x + s eps)``."""
        levels = _like(self._levels(timesteps), latents)
        return torch.as_tensor(self.scheduler.precondition_inputs(latents + levels * noise, levels))

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """The output that the scheduler would make ``x`` of."""
        levels = _like(self._levels(timesteps), latents)
        blank, noisy = torch.zeros_like(levels), latents + levels * noise
        kept = self.scheduler.precondition_outputs(torch.ones_like(levels), blank, levels)
        factor = self.scheduler.precondition_outputs(blank, torch.ones_like(levels), levels)
        return torch.as_tensor((latents - kept * noisy) / factor)

    def times(self, timesteps: Tensor) -> Tensor:
        """The levels as the denoiser is told them."""
        return torch.as_tensor(self.scheduler.precondition_noise(self._levels(timesteps)))

    def _levels(self, timesteps: Tensor) -> Tensor:
        low, high = self.scheduler.config.sigma_min, self.scheduler.config.sigma_max
        return low * (high / low) ** (timesteps.float() / (self.count - 1))


def _like(levels: Tensor, latents: Tensor) -> Tensor:
    """Shaped to multiply ``latents``."""
    return levels.to(latents.device, latents.dtype).reshape(-1, *[1] * (latents.ndim - 1))


LEARNED: tuple[str, ...] = ("learned", "learned_range")


@once
def deterministic(scheduler: Any) -> Any:
    """The sampler to use for ``scheduler``: DDIM (eta 0) for DDPM's, whose steps draw noise, else itself.

    Where the denoiser learned a variance DDIM has no use for it, and DDPM stays.
    """
    if isinstance(scheduler, DDPMScheduler) and scheduler.config.variance_type not in LEARNED:
        return DDIMScheduler.from_config(scheduler.config)
    return scheduler
