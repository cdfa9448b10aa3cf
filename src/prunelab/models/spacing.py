"""Quadratic spacing of the sampler's timesteps: close together where little noise is left.

Song, Meng and Ermon (ICLR 2021, arXiv 2010.02502), in their code, which Diff-Pruning's samples come from:
of T timesteps the n squares of ``linspace(0, sqrt(0.8 T), n)``, rounded down, from the largest to 0.
"""

from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.models.seams import Stepped


class QuadraticSampler:
    """DDIM (eta 0) over quadratically spaced timesteps; all else is as the model's own scheduler says."""

    init_noise_sigma = 1.0
    order = 1  # evaluations of the denoiser per step

    def __init__(self, scheduler: Any) -> None:
        if not hasattr(scheduler, "alphas_cumprod"):
            raise Refusal(
                f"evaluation.spacing=quadratic spaces the timesteps of a diffusion, and a "
                f"{type(scheduler).__name__} has none: use evaluation.spacing=scheduler"
            )
        self.inner = DDIMScheduler.from_config(scheduler.config)
        self.timesteps = torch.empty(0, dtype=torch.long)

    def set_timesteps(self, steps: int, device: torch.device | str | None = None) -> None:
        """Timesteps, int64, falling to 0: at most ``steps``, as repeated ones change nothing."""
        places = np.linspace(0, np.sqrt(0.8 * self.inner.config.num_train_timesteps), steps) ** 2
        self.timesteps = torch.from_numpy(np.unique(places.astype(np.int64))[::-1].copy()).to(device)

    def scale_model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """The latents as they are."""
        return latents

    @property
    def config(self) -> Any:
        """The model's own settings."""
        return self.inner.config

    def step(self, output: Tensor, timestep: Tensor, latents: Tensor, return_dict: bool = True) -> Stepped:
        """From ``timestep`` to the next in the list; from the last to clean latents."""
        del return_dict  # a Stepped is read by name and by place
        bar, after = self._bar(timestep), self._after(timestep)
        clean, noise = self._parted(output, bar, latents)
        if self.inner.config.clip_sample:
            bound = self.inner.config.clip_sample_range
            clean = clean.clamp(-bound, bound)
        return Stepped(after.sqrt() * clean + (1 - after).sqrt() * noise, clean)

    def _bar(self, timestep: Tensor) -> Tensor:
        return self.inner.alphas_cumprod.to(timestep.device)[timestep]

    def _after(self, timestep: Tensor) -> Tensor:
        smaller = self.timesteps[self.timesteps < timestep]
        return self._bar(smaller[0]) if len(smaller) else self.inner.final_alpha_cumprod.to(timestep.device)

    def _parted(self, output: Tensor, bar: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The clean latents and the noise that the denoiser's ``output`` says ``latents`` are made of."""
        kind = self.inner.config.prediction_type
        if kind == "v_prediction":
            clean = bar.sqrt() * latents - (1 - bar).sqrt() * output
            return clean, bar.sqrt() * output + (1 - bar).sqrt() * latents
        if kind == "sample":
            return output, (latents - bar.sqrt() * output) / (1 - bar).sqrt()
        return (latents - (1 - bar).sqrt() * output) / bar.sqrt(), output
