"""How a small text-to-image model and the judge of its pictures are made from nothing.

Four phases: ``judge``, ``autoencoder``, ``denoiser`` (with its text encoder) and ``pipeline``, the assembly.
What is worth keeping are the folders ``judge`` and ``pipeline``: half-precision safetensors, no pickles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from prunelab.core.settings import Count, Fraction, NonNegative
from prunelab.pretraining.autoencoder import Reconstruction
from prunelab.pretraining.denoiser import Denoising
from prunelab.pretraining.judged_recipe import JudgedRecipe
from prunelab.pretraining.phases import Phase, rewrite, save_judge, seeded
from prunelab.pretraining.words import word_tokenizer
from prunelab.schedules.schedule import Schedule


@dataclass(frozen=True)
class TextToImageRecipe(JudgedRecipe):
    """Everything that decides the weights.

    labels: the columns that the judge learns to name. judge, autoencoder, unet, text_encoder, scheduler:
    arguments of Judge, AutoencoderKL, UNet2DConditionModel, CLIPTextConfig and DDIMScheduler. divergence:
    weight of the autoencoder's Kullback-Leibler term. caption_length: tokens, the start and end included.
    drop: probability that a caption is left out in training, for guidance.
    """

    version = 1

    autoencoder: Mapping[str, Any]
    autoencoder_schedule: Schedule
    divergence: NonNegative
    unet: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    caption_length: Count
    drop: Fraction
    denoiser_schedule: Schedule

    def phases(self) -> list[Phase]:
        """Judge, autoencoder, denoiser, pipeline: each reads what those before it saved."""
        return [
            Phase("judge", self.judge_schedule, self._naming, save_judge),
            Phase("autoencoder", self.autoencoder_schedule, self._reconstruction, self._save_autoencoder),
            Phase("denoiser", self.denoiser_schedule, self._denoising, _save_denoiser),
            Phase("pipeline", None, lambda finished: None, self._save_pipeline),
        ]

    def _reconstruction(self, finished: Path) -> Reconstruction:
        autoencoder = seeded(self.seed, "autoencoder", lambda: AutoencoderKL(**self.autoencoder))
        return Reconstruction(autoencoder, self._pictures(), self.seed, self.divergence)

    def _denoising(self, finished: Path) -> Denoising:
        data, tokenizer = self.data.train(), self._tokenizer()
        return Denoising(
            unet=seeded(self.seed, "unet", lambda: UNet2DConditionModel(**self.unet)),
            text_encoder=seeded(self.seed, "text encoder", lambda: self._text_encoder(tokenizer)),
            scheduler=DDIMScheduler(**self.scheduler),
            latents=self._latents(finished),
            tokens=self._tokens(tokenizer, list(data["caption"])),
            unconditional=self._tokens(tokenizer, [""])[0],
            seed=self.seed,
            drop=self.drop,
        )

    def _save_pipeline(self, objective: None, finished: Path, folder: Path) -> None:
        """An ordinary pipeline in half precision; nothing in it needs this package."""
        half = torch.float16
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL.from_pretrained(finished / "autoencoder", torch_dtype=half),
            unet=UNet2DConditionModel.from_pretrained(finished / "denoiser" / "unet", torch_dtype=half),
            text_encoder=CLIPTextModel.from_pretrained(finished / "denoiser" / "text_encoder", dtype=half),
            tokenizer=self._tokenizer(),
            scheduler=DDIMScheduler(**self.scheduler),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(folder)
        for part in ("unet", "vae"):  # diffusers notes where a part was read from: a folder of this machine
            rewrite(folder / part / "config.json", {"_name_or_path": None})
        # Unasked, transformers opens a model in its stored precision and diffusers in float32: mixed.
        rewrite(folder / "text_encoder" / "config.json", {"dtype": "float32"})
        # The name that version 5 of transformers gives the class is unknown to version 4; this one both know.
        rewrite(folder / "model_index.json", {"tokenizer": ["transformers", "PreTrainedTokenizerFast"]})
        named = {"tokenizer_class": "PreTrainedTokenizerFast"}
        rewrite(folder / "tokenizer" / "tokenizer_config.json", named)

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        return word_tokenizer(self.data.train()["caption"], self.caption_length)

    def _tokens(self, tokenizer: PreTrainedTokenizerFast, captions: list[str]) -> Tensor:
        """Token numbers (n, caption_length) as the pipeline makes them."""
        encoded = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
        tokens: Tensor = encoded.input_ids
        return tokens

    def _text_encoder(self, tokenizer: PreTrainedTokenizerFast) -> CLIPTextModel:
        config = CLIPTextConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=self.caption_length,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **self.text_encoder,
        )
        return CLIPTextModel(config)


def _save_denoiser(objective: Denoising, finished: Path, folder: Path) -> None:
    parts: Any = objective.trained
    parts["unet"].save_pretrained(folder / "unet")
    parts["text_encoder"].save_pretrained(folder / "text_encoder")
