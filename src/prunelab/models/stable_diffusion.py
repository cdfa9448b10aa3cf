"""Text-to-image latent diffusion as diffusers' ``StableDiffusionPipeline`` lays it out.

Components: ``denoiser`` (the pipeline's ``unet``), ``text_encoder`` and ``vae``. Prediction type,
conditioning and the latents' scaling live behind this class; scorers and recoveries never see them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.settings import Place, Text, Weights
from prunelab.models.architectures import (
    Architecture,
    architecture_hash,
    build_stable_diffusion,
    without_folder,
    without_weights,
)
from prunelab.models.conditioned import Conditioned
from prunelab.models.diffusers_model import check_weights


class StableDiffusion(Conditioned):
    """A text-to-image model: latents (batch, channels, h, w), conditions (batch, tokens, width)."""

    attributes: ClassVar = {"denoiser": "unet", "text_encoder": "text_encoder", "vae": "vae"}
    layout: ClassVar = "a Stable Diffusion folder"

    @classmethod
    def open(
        cls,
        name: Text,
        path: Place | None = None,
        weights: Weights = "pretrained",
        embedded: Text | None = None,
        architecture: Architecture | None = None,
    ) -> "StableDiffusion":
        """As ``open_folder``; random weights of a published ``architecture`` need no folder.

        Such a model has no tokenizer. Raises Refusal as ``open_folder`` does, and for an architecture without
        a folder unless weights are random.
        """
        check_weights(weights)
        if architecture is None or path is not None:
            return cls.open_folder(name, path, weights, embedded)
        if weights != "random":
            raise Refusal(without_weights(name))
        return cls(name, build_stable_diffusion(architecture), architecture_hash(architecture))

    @property
    def condition_shape(self) -> tuple[int, int]:
        """The tokenizer's length and the width of the text encoder's states."""
        tokens = self.pipeline.text_encoder.config.max_position_embeddings
        return tokens, self.pipeline.unet.config.cross_attention_dim

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Zero inputs of one forward pass at the model's own resolution and prompt length."""
        if component != "text_encoder":
            return super().example_inputs(component, batch)
        tokens, device = self.condition_shape[0], self.device(component)
        return {"input_ids": torch.zeros(batch, tokens, dtype=torch.long, device=device)}

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Prompts to conditions of shape (batch, tokens, width), padded to the tokenizer's length."""
        encoder = self.components["text_encoder"]
        device = next(encoder.parameters()).device
        states: Tensor = encoder(self._tokens(prompts).input_ids.to(device))[0]
        return states

    def real_tokens(self, prompts: Sequence[str]) -> Tensor:
        """True where ``embed`` reads a token of the prompt, False at padding: bool (batch, tokens)."""
        mask: Tensor = self._tokens(prompts).attention_mask.bool()
        return mask

    def _tokens(self, prompts: Sequence[str]) -> Any:
        tokenizer = self._tokenizer()
        return tokenizer(
            list(prompts),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )

    def _tokenizer(self) -> Any:
        if self.pipeline.tokenizer is None:
            raise Refusal(without_folder(self.name))
        return self.pipeline.tokenizer

    def save(self, folder: Path | str) -> None:
        """As every model does; refused where there is no tokenizer, as the folder could not be used."""
        self._tokenizer()
        super().save(folder)
