"""Published architectures without a folder: configurations in, a pipeline with random weights out."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LDMPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    VQModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

Architecture = Mapping[str, Mapping[str, Any]]


def build_stable_diffusion(architecture: Architecture) -> StableDiffusionPipeline:
    """A pipeline with weights drawn from seed 0 and without a tokenizer, which is made from data.

    ``architecture`` has the arguments of UNet2DConditionModel (``unet``), CLIPTextConfig
    (``text_encoder``), AutoencoderKL (``vae``) and DDIMScheduler (``scheduler``).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(**architecture["unet"])
        text_encoder = CLIPTextModel(CLIPTextConfig(**architecture["text_encoder"]))
        vae = AutoencoderKL(**architecture["vae"])
    return StableDiffusionPipeline(
        unet=unet,
        text_encoder=text_encoder,
        vae=vae,
        scheduler=DDIMScheduler(**architecture["scheduler"]),
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def build_class_conditional(architecture: Architecture) -> LDMPipeline:
    """A pipeline with weights drawn from seed 0.

    ``architecture`` has the arguments of UNet2DConditionModel (``unet``), VQModel (``vqvae``) and
    DDIMScheduler (``scheduler``).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(**architecture["unet"])
        vqvae = VQModel(**architecture["vqvae"])
    return LDMPipeline(vqvae, unet, DDIMScheduler(**architecture["scheduler"]))


def build_flux(architecture: Architecture) -> FluxPipeline:
    """A pipeline of 17 billion parameters, so on the meta device: shapes without numbers, and no tokenizers.

    ``architecture`` has the arguments of FluxTransformer2DModel (``transformer``), CLIPTextConfig
    (``text_encoder``), T5Config (``text_encoder_2``), AutoencoderKL (``vae``) and
    FlowMatchEulerDiscreteScheduler (``scheduler``).
    """
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(**architecture["transformer"])
        text_encoder = CLIPTextModel(CLIPTextConfig(**architecture["text_encoder"]))
        text_encoder_2 = T5EncoderModel(T5Config(**architecture["text_encoder_2"]))
        vae = AutoencoderKL(**architecture["vae"])
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**architecture["scheduler"]),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=None,
        text_encoder_2=text_encoder_2,
        tokenizer_2=None,
        transformer=transformer,
    )


def architecture_hash(architecture: Architecture) -> str:
    """sha256 of the configurations: equal ones have equal random weights."""
    return hashlib.sha256(json.dumps(architecture, sort_keys=True).encode()).hexdigest()


def without_weights(name: str) -> str:
    """What to say where weights are asked for and there is an architecture alone."""
    return (
        f"{name} comes without weights: give path=FOLDER of its diffusers pipeline, or "
        "weights=random to plan on its architecture"
    )


def without_folder(name: str) -> str:
    """What to say where an architecture alone is to be run."""
    return (
        f"{name} was built without a folder and has no tokenizer: it can be planned "
        "(prunelab plan); to run, give path=FOLDER of its diffusers pipeline"
    )
