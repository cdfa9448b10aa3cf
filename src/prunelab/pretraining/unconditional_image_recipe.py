"""How a small unconditional image model and the judge of its pictures are made from nothing.

Phases: ``judge``, ``autoencoder`` (of a latent model only), ``denoiser`` and ``pipeline``, the assembly. What
is worth keeping are the folders ``judge`` and ``pipeline``: half-precision safetensors, no pickles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMPipeline, DDIMScheduler, DiffusionPipeline, LDMPipeline, UNet2DModel
from torch import Tensor

from prunelab.core.settings import NonNegative
from prunelab.pretraining.autoencoder import Reconstruction
from prunelab.pretraining.judged_recipe import JudgedRecipe
from prunelab.pretraining.phases import Phase, rewrite, save_judge, seeded, what_counts
from prunelab.pretraining.unconditional import Unconditional
from prunelab.schedules.schedule import Schedule


@dataclass(frozen=True)
class Autoencoding:
    """How the autoencoder of a latent model is trained.

    settings: arguments of AutoencoderKL. divergence: weight of the Kullback-Leibler term.
    """

    settings: Mapping[str, Any]
    schedule: Schedule
    divergence: NonNegative

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What of it decides the weights."""
        return {**vars(self), "schedule": what_counts(self.schedule)}


@dataclass(frozen=True)
class UnconditionalImageRecipe(JudgedRecipe):
    """Everything that decides the weights.

    labels: the columns that the judge learns to name. judge, unet, scheduler: arguments of Judge,
    UNet2DModel and DDIMScheduler. autoencoder: None for a model of the pixels themselves.
    """

    version = 1

    unet: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    denoiser_schedule: Schedule
    autoencoder: Autoencoding | None = None

    def phases(self) -> list[Phase]:
        """Judge, autoencoder if there is one, denoiser, pipeline: each reads what those before it saved."""
        phases = [Phase("judge", self.judge_schedule, self._naming, save_judge)]
        if self.autoencoder is not None:
            schedule = self.autoencoder.schedule
            phases.append(Phase("autoencoder", schedule, self._reconstruction, self._save_autoencoder))
        phases.append(Phase("denoiser", self.denoiser_schedule, self._denoising, _save_denoiser))
        return [*phases, Phase("pipeline", None, lambda finished: None, self._save_pipeline)]

    def _reconstruction(self, finished: Path) -> Reconstruction:
        assert self.autoencoder is not None
        settings = self.autoencoder.settings
        autoencoder = seeded(self.seed, "autoencoder", lambda: AutoencoderKL(**settings))
        return Reconstruction(autoencoder, self._pictures(), self.seed, self.autoencoder.divergence)

    def _denoising(self, finished: Path) -> Unconditional:
        unet = seeded(self.seed, "unet", lambda: UNet2DModel(**self.unet))
        return Unconditional(unet, DDIMScheduler(**self.scheduler), self._latents(finished), self.seed)

    def _latents(self, finished: Path) -> Tensor:
        """What is denoised, float32: scaled latents of the training images, or their pixels in [-1, 1]."""
        if self.autoencoder is None:
            return self._pictures().float() / 127.5 - 1
        return super()._latents(finished)

    def _save_pipeline(self, objective: None, finished: Path, folder: Path) -> None:
        """An ordinary pipeline in half precision; nothing in it needs this package."""
        self._pipeline(finished).save_pretrained(folder)
        for config in folder.glob("*/config.json"):  # diffusers notes where a part was read from
            rewrite(config, {"_name_or_path": None})

    def _pipeline(self, finished: Path) -> DiffusionPipeline:
        half, scheduler = torch.float16, DDIMScheduler(**self.scheduler)
        unet = UNet2DModel.from_pretrained(finished / "denoiser", torch_dtype=half)
        if self.autoencoder is None:
            return DDIMPipeline(unet, scheduler)
        autoencoder = AutoencoderKL.from_pretrained(finished / "autoencoder", torch_dtype=half)
        return LDMPipeline(autoencoder, unet, scheduler)


def _save_denoiser(objective: Unconditional, finished: Path, folder: Path) -> None:
    unet: Any = objective.trained
    unet.save_pretrained(folder)
