"""Class-conditional latent diffusion (Rombach et al. 2022, arXiv 2112.10752, on ImageNet) in stock classes.

The layout is an LDMPipeline's, ``vqvae``, ``unet`` and scheduler, with a UNet2DConditionModel. The table of
classes is the U-Net's own ``encoder_hid_proj``: a class is a one-hot vector of its ``encoder_hid_dim``, which
that layer turns into the one token that is attended to. The last class is the null class, from which guidance
starts. diffusers opens such a folder; its LDMPipeline gives no conditions, so sampling takes a loop:
``unet(latents, t, encoder_hidden_states=one_hot)``.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel, VQModel
from torch import Tensor
from torch.nn import functional as F

from prunelab.core.errors import Refusal
from prunelab.core.settings import Place, Text, Weights
from prunelab.models.architectures import (
    Architecture,
    architecture_hash,
    build_class_conditional,
    without_weights,
)
from prunelab.models.conditioned import Conditioned
from prunelab.models.diffusers_model import check_weights


class ClassConditional(Conditioned):
    """A model whose prompts are class numbers ("207"); conditions are one-hot (batch, 1, classes)."""

    attributes: ClassVar = {"denoiser": "unet", "vae": "vqvae"}
    kinds: ClassVar = {"unet": UNet2DConditionModel, "vqvae": (AutoencoderKL, VQModel)}
    layout: ClassVar = (
        "a folder of an LDMPipeline whose UNet2DConditionModel embeds classes (encoder_hid_dim)"
    )

    def __init__(self, name: str, pipeline: DiffusionPipeline, fingerprint: str) -> None:
        config = pipeline.unet.config
        if config.encoder_hid_dim_type != "text_proj" or not config.encoder_hid_dim:
            raise Refusal(f"the U-Net of {name} has no table of classes: give {self.layout}")
        super().__init__(name, pipeline, fingerprint)

    @classmethod
    def open(
        cls,
        name: Text,
        path: Place | None = None,
        weights: Weights = "pretrained",
        architecture: Architecture | None = None,
    ) -> "ClassConditional":
        """As ``open_folder``; random weights of a published ``architecture`` need no folder.

        Raises Refusal as ``open_folder`` does, and for an architecture without a folder unless weights are
        random.
        """
        check_weights(weights)
        if architecture is None or path is not None:
            return cls.open_folder(name, path, weights, None)
        if weights != "random":
            raise Refusal(without_weights(name))
        return cls(name, build_class_conditional(architecture), architecture_hash(architecture))

    @property
    def condition_shape(self) -> tuple[int, int]:
        """One token as wide as there are classes, the null class among them."""
        return 1, int(self.pipeline.unet.config.encoder_hid_dim)

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Class numbers to one-hot conditions (batch, 1, classes); the empty prompt is the null class.

        Raises Refusal for what is no class number.
        """
        _, classes = self.condition_shape
        numbers = [self._number(prompt) if prompt else classes - 1 for prompt in prompts]
        return F.one_hot(torch.tensor(numbers, device=self.device()), classes).float()[:, None]

    def _number(self, prompt: str) -> int:
        last = self.condition_shape[1] - 2
        if not (prompt.isdecimal() and int(prompt) <= last):
            raise Refusal(
                f"{prompt!r} is no class of {self.name}, whose prompts are class numbers from 0 to {last}: "
                "name their column (data.caption_column=label)"
            )
        return int(prompt)

    def real_tokens(self, prompts: Sequence[str]) -> Tensor:
        """True: there is one token, and it is never padding. bool (batch, 1)."""
        return torch.ones(len(prompts), 1, dtype=torch.bool)
