"""Small pipelines of videos whose denoiser is a transformer."""

from diffusers import (
    AllegroPipeline,
    AllegroTransformer3DModel,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
    LattePipeline,
    LatteTransformer3DModel,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    MochiPipeline,
    MochiTransformer3DModel,
    SanaVideoPipeline,
    SanaVideoTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)

from . import autoencoders, text
from .small import Small

SIZE = {"height": 16, "width": 16, "max_sequence_length": text.LENGTH}


def wan() -> Small:
    """Wan 2.1: norms across heads, guidance in two calls, a multi-step solver of flows."""
    transformer = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=16, freq_dim=16, ffn_dim=24, num_layers=2,
        rope_max_seq_len=32,
    )  # fmt: skip
    solver = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    pipeline = WanPipeline(
        transformer=transformer, vae=autoencoders.wan(), scheduler=solver, text_encoder=text.umt5(),
        tokenizer=text.tokenizer(start=False), transformer_2=None,
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "num_frames": 5})


def ltx_video() -> Small:
    """LTX-Video: packed latents, one modulation for all blocks."""
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        num_layers=2, caption_channels=16,
    )  # fmt: skip
    pipeline = LTXPipeline(
        transformer=transformer, vae=autoencoders.ltx(), text_encoder=text.t5(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05),
        tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {"height": 32, "width": 32, "max_sequence_length": text.LENGTH, "num_frames": 9})


def cogvideox() -> Small:
    """CogVideoX: text and video in one sequence, a sampler of its own."""
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4, time_embed_dim=4,
        text_embed_dim=16, num_layers=2, sample_width=2, sample_height=2, sample_frames=9, patch_size=2,
        temporal_compression_ratio=4, max_text_seq_length=text.LENGTH,
    )  # fmt: skip
    pipeline = CogVideoXPipeline(
        transformer=transformer, vae=autoencoders.cogvideox(), scheduler=CogVideoXDDIMScheduler(),
        text_encoder=text.t5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "num_frames": 5})


def latte() -> Small:
    """Latte: blocks over space and over time in turns."""
    transformer = LatteTransformer3DModel(
        sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=2, in_channels=4,
        out_channels=8, caption_channels=16, cross_attention_dim=16, attention_bias=True, video_length=2,
        activation_fn="gelu-approximate", num_embeds_ada_norm=1000, norm_type="ada_norm_single",
        norm_elementwise_affine=False, norm_eps=1e-6,
    )  # fmt: skip
    pipeline = LattePipeline(
        transformer=transformer, vae=autoencoders.pictures(), scheduler=DDIMScheduler(),
        text_encoder=text.t5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {"height": 16, "width": 16, "video_length": 2, "clean_caption": False})


def allegro() -> Small:
    """Allegro: PixArt's blocks over space and time."""
    transformer = AllegroTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, num_layers=2,
        cross_attention_dim=24, sample_width=2, sample_height=2, sample_frames=2, caption_channels=16,
    )  # fmt: skip
    pipeline = AllegroPipeline(
        transformer=transformer, vae=autoencoders.allegro(), scheduler=EulerAncestralDiscreteScheduler(),
        text_encoder=text.t5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    # Its autoencoder decodes in tiles of 24 frames: the latents are what a small call can give.
    return Small(pipeline, {**SIZE, "num_frames": 8, "clean_caption": False, "output_type": "latent"})


def mochi() -> Small:
    """Mochi: joint attention of unequal widths."""
    transformer = MochiTransformer3DModel(
        num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16,
        text_embed_dim=16, time_embed_dim=4, max_sequence_length=text.LENGTH,
    )  # fmt: skip
    pipeline = MochiPipeline(
        transformer=transformer, vae=autoencoders.mochi(), scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=text.t5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "num_frames": 7})


def hunyuan_video() -> Small:
    """HunyuanVideo: FLUX's blocks over space and time, a refiner of the text."""
    transformer = HunyuanVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, patch_size=1, text_embed_dim=16, pooled_projection_dim=16,
        rope_axes_dim=(2, 4, 2),
    )  # fmt: skip
    pipeline = HunyuanVideoPipeline(
        transformer=transformer, vae=autoencoders.hunyuan_video(), text_encoder=text.llama(layers=3),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0), tokenizer=text.tokenizer(),
        text_encoder_2=text.clip(max_position_embeddings=77), tokenizer_2=text.tokenizer(),  # it asks for 77
    )  # fmt: skip
    template = {"template": "{}", "crop_start": 0}
    return Small(pipeline, {**SIZE, "num_frames": 5, "prompt_template": template})


def sana_video() -> Small:
    """Sana's video: linear attention with rotary positions."""
    transformer = SanaVideoTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, num_layers=2, num_cross_attention_heads=2,
        cross_attention_head_dim=12, cross_attention_dim=24, caption_channels=16, sample_size=4,
        rope_max_seq_len=32,
    )  # fmt: skip
    pipeline = SanaVideoPipeline(
        transformer=transformer, vae=autoencoders.wan(), scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=text.gemma2(), tokenizer=text.tokenizer(),
    )  # fmt: skip
    plain = {"use_resolution_binning": False, "clean_caption": False, "complex_human_instruction": None}
    size = {"height": 32, "width": 32, "frames": 5, "max_sequence_length": text.LENGTH}
    return Small(pipeline, {**size, **plain})


FAMILIES = (
    wan, ltx_video, cogvideox, latte, allegro, mochi, hunyuan_video, sana_video,
)  # fmt: skip
