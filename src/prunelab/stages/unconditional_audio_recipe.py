"""How a small unconditional model of sounds and the listener to its sounds are made from nothing.

Four phases: ``judge``, ``autoencoder`` (of MDCT pictures), ``denoiser`` and ``pipeline``, the assembly. What
is worth keeping are the folders ``judge`` and ``pipeline``: half-precision safetensors, no pickles.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from datasets import Dataset
from diffusers import AutoencoderKL, DDIMScheduler, LDMPipeline, UNet2DModel
from torch import Tensor

from prunelab.core.draws import generator
from prunelab.core.waveforms import scaled
from prunelab.engine.optimise import Schedule
from prunelab.metrics.listener import Listener
from prunelab.models.mdct import as_pictures
from prunelab.pretraining.autoencoder import Reconstruction, encode, standardise
from prunelab.pretraining.listener import Hearing
from prunelab.pretraining.unconditional import Unconditional
from prunelab.stages.pretrain import Phase
from prunelab.stages.text_to_image_recipe import what_counts

VERSION = 1  # part of the fingerprint: raise it when the same settings give other weights
T = TypeVar("T")


class LabelledSounds(Protocol):
    """A data set whose items have audio (int16, 1 x samples) and class numbers."""

    def train(self) -> Dataset:
        """The split to learn from."""

    @property
    def fingerprint(self) -> str:
        """A hash of the content."""


@dataclass(frozen=True)
class UnconditionalAudioRecipe:
    """Everything that decides the weights.

    labels: the columns that the judge learns to name. judge, autoencoder, unet, scheduler: arguments of
    Listener, AutoencoderKL, UNet2DModel and DDIMScheduler. bins: of the MDCT. divergence: weight of the
    autoencoder's Kullback-Leibler term.
    """

    seed: int
    data: LabelledSounds
    labels: Sequence[str]
    judge: Mapping[str, Any]
    judge_schedule: Schedule
    bins: int
    autoencoder: Mapping[str, Any]
    autoencoder_schedule: Schedule
    divergence: float
    unet: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    denoiser_schedule: Schedule

    @property
    def fingerprint(self) -> str:
        """A hash of every field and of the data's content."""
        content = json.dumps({"version": VERSION, **vars(self)}, default=what_counts, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def phases(self) -> list[Phase]:
        """Judge, autoencoder, denoiser, pipeline: each reads what those before it saved."""
        return [
            Phase("judge", self.judge_schedule, self._hearing, _save_judge),
            Phase("autoencoder", self.autoencoder_schedule, self._reconstruction, _save_autoencoder),
            Phase("denoiser", self.denoiser_schedule, self._denoising, _save_denoiser),
            Phase("pipeline", None, lambda finished: None, self._save_pipeline),
        ]

    def _hearing(self, finished: Path) -> Hearing:
        data = self.data.train()
        names = {label: data.features[label].names for label in self.labels}
        listener = self._seeded("judge", lambda: Listener(names, **self.judge))
        numbers = {label: torch.from_numpy(data[:][label]) for label in self.labels}
        return Hearing(listener, _waveforms(data), numbers, self.seed)

    def _reconstruction(self, finished: Path) -> Reconstruction:
        autoencoder = self._seeded("autoencoder", lambda: AutoencoderKL(**self.autoencoder))
        return Reconstruction(autoencoder, self._pictures(), self.seed, self.divergence)

    def _denoising(self, finished: Path) -> Unconditional:
        autoencoder = AutoencoderKL.from_pretrained(finished / "autoencoder")
        unet = self._seeded("unet", lambda: UNet2DModel(**self.unet))
        latents = encode(autoencoder, self._pictures())
        return Unconditional(unet, DDIMScheduler(**self.scheduler), latents, self.seed)

    def _pictures(self) -> Tensor:
        """The sounds as the autoencoder sees them, float32."""
        waveforms = _waveforms(self.data.train())
        return as_pictures(scaled(waveforms), self.bins, self.autoencoder["in_channels"])

    def _save_pipeline(self, objective: None, finished: Path, folder: Path) -> None:
        """An ordinary pipeline in half precision; what turns its pictures into sounds is the MDCT alone."""
        half = torch.float16
        pipeline = LDMPipeline(
            vqvae=AutoencoderKL.from_pretrained(finished / "autoencoder", torch_dtype=half),
            unet=UNet2DModel.from_pretrained(finished / "denoiser", torch_dtype=half),
            scheduler=DDIMScheduler(**self.scheduler),
        )
        pipeline.save_pretrained(folder)
        for part in ("unet", "vqvae"):  # diffusers notes where a part was read from: a folder of this machine
            config = folder / part / "config.json"
            content = json.loads(config.read_text())
            content.pop("_name_or_path", None)
            config.write_text(json.dumps(content, indent=2) + "\n")

    def _seeded(self, part: str, build: Callable[[], T]) -> T:
        """What ``build`` makes with initial weights that depend on the seed and the part's name alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(self.seed, 0, f"initial {part}").initial_seed())
            return build()


def _waveforms(data: Dataset) -> Tensor:
    """All sounds as int16 (n, 1, samples)."""
    return torch.from_numpy(data[:]["audio"]).to(torch.int16)


def _save_judge(objective: Hearing, finished: Path, folder: Path) -> None:
    judge: Any = objective.trained
    judge.save(folder)


def _save_autoencoder(objective: Reconstruction, finished: Path, folder: Path) -> None:
    """With latents of the training data that have mean 0 and variance 1 in every channel."""
    autoencoder: Any = objective.trained
    standardise(autoencoder, encode(autoencoder, objective.images))
    autoencoder.register_to_config(scaling_factor=1.0)
    autoencoder.save_pretrained(folder)


def _save_denoiser(objective: Unconditional, finished: Path, folder: Path) -> None:
    unet: Any = objective.trained
    unet.save_pretrained(folder)
