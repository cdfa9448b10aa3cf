"""Autoencoders that halve a picture once, and the smallest ones of video and sound."""

from typing import Any

from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLAllegro,
    AutoencoderKLCogVideoX,
    AutoencoderKLFlux2,
    AutoencoderKLHunyuanVideo,
    AutoencoderKLLTXVideo,
    AutoencoderKLMochi,
    AutoencoderKLQwenImage,
    AutoencoderKLWan,
    AutoencoderOobleck,
    VQModel,
)


def pictures(latents: int = 4, levels: int = 2, **more: Any) -> AutoencoderKL:
    """Stable Diffusion's, ``2**(levels - 1)`` times smaller; ``more`` are its other settings."""
    settings = {
        "block_out_channels": (8,) * levels, "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels, "latent_channels": latents, "norm_num_groups": 4,
        "sample_size": 16, **more,
    }  # fmt: skip
    return AutoencoderKL(**settings)


def flow_pictures(latents: int = 4, levels: int = 2) -> AutoencoderKL:
    """As SD3 and FLUX have it: a shift, and no convolutions around the latents."""
    return pictures(
        latents,
        levels,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def flux2_pictures() -> AutoencoderKLFlux2:
    """FLUX.2's, whose latents are normalised by their running statistics."""
    return AutoencoderKLFlux2(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, sample_size=16,
        layers_per_block=1,
    )  # fmt: skip


def quantised(latents: int = 3, **more: Any) -> VQModel:
    """The VQ-VAE of latent diffusion."""
    settings = {
        "block_out_channels": (8, 8), "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2, "latent_channels": latents, "norm_num_groups": 4,
        "sample_size": 16, "num_vq_embeddings": 16, **more,
    }  # fmt: skip
    return VQModel(**settings)


def movq() -> VQModel:
    """Kandinsky's VQ-VAE, whose decoder is normalised by the latents."""
    return quantised(
        4, norm_type="spatial", vq_embed_dim=4, block_out_channels=(32, 32), norm_num_groups=32,
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
    )  # fmt: skip


def deep_compression() -> AutoencoderDC:
    """Sana's, with linear attention at its end."""
    return AutoencoderDC(
        latent_channels=4, attention_head_dim=4, encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        upsample_block_type="interpolate", downsample_block_type="stride_conv",
        decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.41407,
    )  # fmt: skip


def wan() -> AutoencoderKLWan:
    """Wan's: 8 times smaller, 4 times shorter."""
    return AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )


def qwen_pictures() -> AutoencoderKLQwenImage:
    """Qwen-Image's: Wan's for one frame."""
    return AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip


def ltx() -> AutoencoderKLLTXVideo:
    """LTX-Video's: causal, in patches."""
    return AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8, 8), down_block_types=("LTXVideoDownBlock3D",) * 2,
        decoder_block_out_channels=(8, 8), layers_per_block=(1, 1, 1), decoder_layers_per_block=(1, 1, 1),
        spatio_temporal_scaling=(True, True), decoder_spatio_temporal_scaling=(True, True),
        decoder_inject_noise=(False, False, False), downsample_type=("conv", "conv"),
        upsample_residual=(False, False), upsample_factor=(1, 1), patch_size=1, patch_size_t=1,
    )  # fmt: skip


def cogvideox() -> AutoencoderKLCogVideoX:
    """CogVideoX's: 8 times smaller, 4 times shorter."""
    return AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4,
    )  # fmt: skip


def allegro() -> AutoencoderKLAllegro:
    """Allegro's, which decodes in tiles."""
    return AutoencoderKLAllegro(
        down_block_types=("AllegroDownBlock3D",) * 4, up_block_types=("AllegroUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4,
    )  # fmt: skip


def mochi() -> AutoencoderKLMochi:
    """Mochi's, with attention in its encoder."""
    return AutoencoderKLMochi(
        latent_channels=12, out_channels=3, encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32), layers_per_block=(1, 1, 1, 1, 1),
    )  # fmt: skip


def hunyuan_video() -> AutoencoderKLHunyuanVideo:
    """HunyuanVideo's: 8 times smaller, 4 times shorter."""
    return AutoencoderKLHunyuanVideo(
        latent_channels=4, down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4, block_out_channels=(8, 8, 8, 8), layers_per_block=1,
        norm_num_groups=4, scaling_factor=0.476986,
    )  # fmt: skip


def oobleck() -> AutoencoderOobleck:
    """Stable Audio's, on the waveform."""
    return AutoencoderOobleck(
        encoder_hidden_size=8, downsampling_ratios=[2, 4], channel_multiples=[1, 2], decoder_channels=4,
        decoder_input_channels=4, audio_channels=2, sampling_rate=64,
    )  # fmt: skip
