"""Published architectures without a folder: configurations in, a pipeline with random weights out."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

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


def architecture_hash(architecture: Architecture) -> str:
    """sha256 of the configurations: equal ones have equal random weights."""
    return hashlib.sha256(json.dumps(architecture, sort_keys=True).encode()).hexdigest()
