"""Small pipelines whose denoiser is a U-Net."""

from typing import Any

import torch
from diffusers import (
    AnimateDiffPipeline,
    CMStochasticIterativeScheduler,
    ConsistencyModelPipeline,
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EulerDiscreteScheduler,
    IFPipeline,
    Kandinsky3Pipeline,
    Kandinsky3UNet,
    KandinskyV22Pipeline,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    LDMPipeline,
    MotionAdapter,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet2DModel,
    UNet3DConditionModel,
)

from . import autoencoders, text
from .small import Small

SIZE = {"height": 16, "width": 16}


def conditional(**more: Any) -> UNet2DConditionModel:
    """Two levels, attention in the second; ``more`` are its other settings."""
    settings = {
        "block_out_channels": (8, 16), "layers_per_block": 1, "sample_size": 8, "cross_attention_dim": 16,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "norm_num_groups": 4,
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "attention_head_dim": 2, **more,
    }  # fmt: skip
    return UNet2DConditionModel(**settings)


def unconditional(channels: int, size: int, **more: Any) -> UNet2DModel:
    settings = {
        "block_out_channels": (8, 16), "layers_per_block": 1, "sample_size": size, "in_channels": channels,
        "out_channels": channels, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "norm_num_groups": 4, "up_block_types": ("AttnUpBlock2D", "UpBlock2D"), "attention_head_dim": 8,
        **more,
    }  # fmt: skip
    return UNet2DModel(**settings)


def variance_exploding() -> dict[str, Any]:
    return {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def stable_diffusion_of(unet: UNet2DConditionModel, scheduler: object) -> dict[str, Any]:
    """The components of a pipeline of Stable Diffusion's layout."""
    return {
        "unet": unet, "scheduler": scheduler, "vae": autoencoders.pictures(), "text_encoder": text.clip(),
        "tokenizer": text.tokenizer(), "safety_checker": None, "feature_extractor": None,
        "requires_safety_checker": False,
    }  # fmt: skip


def stable_diffusion() -> Small:
    """Stable Diffusion 1: convolutions around the transformers, PNDM."""
    scheduler = PNDMScheduler(skip_prk_steps=True, steps_offset=1, **variance_exploding())
    return Small(
        StableDiffusionPipeline(**stable_diffusion_of(conditional(), scheduler)), SIZE, denoiser="unet"
    )


def stable_diffusion_2() -> Small:
    """Stable Diffusion 2: linear layers around the transformers, velocity."""
    unet = conditional(use_linear_projection=True, attention_head_dim=(1, 2))
    scheduler = DDIMScheduler(
        prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1,
        **variance_exploding(),
    )  # fmt: skip
    return Small(StableDiffusionPipeline(**stable_diffusion_of(unet, scheduler)), SIZE, denoiser="unet")


def latent_consistency() -> Small:
    """Latent consistency: the guidance is an input of the U-Net."""
    parts = stable_diffusion_of(conditional(time_cond_proj_dim=8), LCMScheduler(**variance_exploding()))
    return Small(LatentConsistencyModelPipeline(**parts), SIZE, denoiser="unet")


def stable_diffusion_xl() -> Small:
    """SDXL: two text encoders, sizes as added embeddings, two transformer layers where there were one."""
    unet = conditional(
        cross_attention_dim=32, use_linear_projection=True, transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=40,
    )  # fmt: skip
    pipeline = StableDiffusionXLPipeline(
        unet=unet, vae=autoencoders.pictures(scaling_factor=0.13025), text_encoder=text.clip(),
        text_encoder_2=text.clip(projected=True), tokenizer=text.tokenizer(), tokenizer_2=text.tokenizer(),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1, **variance_exploding()),
    )  # fmt: skip
    return Small(pipeline, SIZE, denoiser="unet")


def ddpm() -> Small:
    """Pixels, ancestral sampling."""
    return Small(DDPMPipeline(unconditional(3, 8), DDPMScheduler()), {}, "none", "unet")


def ddim() -> Small:
    """Pixels, deterministic sampling."""
    return Small(DDIMPipeline(unconditional(3, 8), DDIMScheduler()), {}, "none", "unet")


def consistency() -> Small:
    """Consistency models: class labels, scale-shift norms, few steps."""
    unet = unconditional(
        3, 8, num_class_embeds=4, resnet_time_scale_shift="scale_shift",
        down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    )  # fmt: skip
    return Small(ConsistencyModelPipeline(unet, CMStochasticIterativeScheduler()), {}, "label", "unet")


def latent_diffusion() -> Small:
    """Unconditional latent diffusion."""
    return Small(
        LDMPipeline(autoencoders.quantised(), unconditional(3, 8), DDIMScheduler()), {}, "none", "unet"
    )


def deepfloyd_if() -> Small:
    """DeepFloyd's first stage: attention with added keys of the text, pixels, learned variance."""
    unet = conditional(
        in_channels=3, out_channels=6, encoder_hid_dim=16, encoder_hid_dim_type="text_proj",
        cross_attention_dim=32, addition_embed_type="text", addition_embed_type_num_heads=2,
        resnet_time_scale_shift="scale_shift",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"), act_fn="gelu",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), attention_head_dim=4,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", mid_block_scale_factor=1.414, norm_eps=1e-6,
        cross_attention_norm="group_norm", time_embedding_act_fn="gelu", only_cross_attention=False,
    )  # fmt: skip
    scheduler = DDPMScheduler(
        variance_type="learned_range", thresholding=True, dynamic_thresholding_ratio=0.95,
        beta_schedule="squaredcos_cap_v2",
    )  # fmt: skip
    pipeline = IFPipeline(
        tokenizer=text.tokenizer(start=False), text_encoder=text.t5(), unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, watermarker=None, requires_safety_checker=False,
    )  # fmt: skip
    return Small(pipeline, {"height": 8, "width": 8, "clean_caption": False}, denoiser="unet")


def kandinsky_22() -> Small:
    """Kandinsky 2.2's decoder: states of a picture are given, attention has added keys."""
    unet = conditional(
        out_channels=8, encoder_hid_dim=16, encoder_hid_dim_type="image_proj", addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"), attention_head_dim=4,
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    scheduler = DDPMScheduler(variance_type="learned_range", prediction_type="epsilon", clip_sample=False)
    pipeline = KandinskyV22Pipeline(unet=unet, scheduler=scheduler, movq=autoencoders.movq())
    states = {name: torch.randn(1, 16) for name in ("image_embeds", "negative_image_embeds")}
    return Small(pipeline, {"height": 64, "width": 64, **states}, "none", "unet")


def kandinsky_3() -> Small:
    """Kandinsky 3: a U-Net of its own, T5."""
    unet = Kandinsky3UNet(
        block_out_channels=(16, 16), layers_per_block=2, attention_head_dim=8, cross_attention_dim=16,
        encoder_hid_dim=16, time_embedding_dim=16, groups=4,
    )  # fmt: skip
    pipeline = Kandinsky3Pipeline(
        tokenizer=text.tokenizer(start=False), text_encoder=text.t5(), unet=unet,
        scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"), movq=autoencoders.movq(),
    )  # fmt: skip
    return Small(pipeline, {"height": 16, "width": 16}, denoiser="unet")


def animate_diff() -> Small:
    """AnimateDiff: Stable Diffusion's U-Net with layers over time between its own."""
    adapter = MotionAdapter(
        block_out_channels=(8, 16), motion_layers_per_block=1, motion_norm_num_groups=4,
        motion_num_attention_heads=2, motion_max_seq_length=4,
    )  # fmt: skip
    parts = stable_diffusion_of(
        conditional(), DDIMScheduler(beta_schedule="linear", clip_sample=False, steps_offset=1)
    )
    unused = ("safety_checker", "requires_safety_checker")
    kept = {name: part for name, part in parts.items() if name not in unused}
    return Small(
        AnimateDiffPipeline(motion_adapter=adapter, **kept), {**SIZE, "num_frames": 2}, denoiser="unet"
    )


def text_to_video() -> Small:
    """ModelScope's text to video: convolutions and attention over time."""
    unet = UNet3DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, norm_num_groups=4,
        attention_head_dim=4, down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        cross_attention_dim=16, up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    )  # fmt: skip
    pipeline = TextToVideoSDPipeline(
        vae=autoencoders.pictures(), text_encoder=text.clip(), tokenizer=text.tokenizer(), unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, **variance_exploding()),
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "num_frames": 2}, denoiser="unet")


FAMILIES = (
    stable_diffusion, stable_diffusion_2, latent_consistency, stable_diffusion_xl, ddpm, ddim, consistency,
    latent_diffusion, deepfloyd_if, kandinsky_22, kandinsky_3, animate_diff, text_to_video,
)  # fmt: skip
