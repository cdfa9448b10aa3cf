"""Small pipelines of pictures whose denoiser is a transformer."""

from typing import Any

from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    BriaPipeline,
    BriaTransformer2DModel,
    ChromaPipeline,
    ChromaTransformer2DModel,
    CogVideoXDDIMScheduler,
    CogView3PlusPipeline,
    CogView3PlusTransformer2DModel,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    DDIMScheduler,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    HiDreamImagePipeline,
    HiDreamImageTransformer2DModel,
    HunyuanDiT2DModel,
    HunyuanDiTPipeline,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    LuminaNextDiT2DModel,
    LuminaPipeline,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)

from . import autoencoders, text
from .small import Small

SIZE = {"height": 16, "width": 16}
SHORT = {**SIZE, "max_sequence_length": text.LENGTH}


def of_sd3(**more: Any) -> Small:
    """SD3's layout: two CLIPs beside T5, joint attention; ``more`` are settings of the transformer."""
    transformer = SD3Transformer2DModel(
        sample_size=8, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=32, caption_projection_dim=16, pooled_projection_dim=32,
        pos_embed_max_size=8, **more,
    )  # fmt: skip
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoders.flow_pictures(), text_encoder=text.clip(projected=True), tokenizer=text.tokenizer(),
        text_encoder_2=text.clip(projected=True), tokenizer_2=text.tokenizer(), text_encoder_3=text.t5(32),
        tokenizer_3=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def stable_diffusion_3() -> Small:
    """Stable Diffusion 3: joint attention without norms of queries and keys."""
    return of_sd3()


def stable_diffusion_35() -> Small:
    """Stable Diffusion 3.5: norms of queries and keys, a second attention to pictures alone."""
    return of_sd3(qk_norm="rms_norm", dual_attention_layers=(0,))


def of_flux(guided: bool, scheduler: FlowMatchEulerDiscreteScheduler) -> Small:
    transformer = FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=16, guidance_embeds=guided, axes_dims_rope=(4, 2, 2),
    )  # fmt: skip
    pipeline = FluxPipeline(
        transformer=transformer, scheduler=scheduler, vae=autoencoders.flow_pictures(),
        text_encoder=text.clip(), tokenizer=text.tokenizer(), text_encoder_2=text.t5(),
        tokenizer_2=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def flux_dev() -> Small:
    """FLUX.1 dev: distilled guidance is an input, the schedule shifts with the size."""
    return of_flux(True, FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True))


def flux_schnell() -> Small:
    """FLUX.1 schnell: no guidance, no shift."""
    return of_flux(False, FlowMatchEulerDiscreteScheduler(shift=1.0))


def flux_2() -> Small:
    """FLUX.2 klein: attention fused with the feed-forward, three layers of a language model side by side."""
    transformer = Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=48, timestep_guidance_channels=16, axes_dims_rope=(2, 2, 2, 2),
        guidance_embeds=False,
    )  # fmt: skip
    pipeline = Flux2KleinPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flux2_pictures(), text_encoder=text.qwen3(layers=3),
        tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "text_encoder_out_layers": (1, 2, 3)})


def pixart_transformer() -> PixArtTransformer2DModel:
    return PixArtTransformer2DModel(
        sample_size=8, num_layers=2, attention_head_dim=8, num_attention_heads=2, caption_channels=16,
        in_channels=4, out_channels=8, cross_attention_dim=16, use_additional_conditions=False,
    )  # fmt: skip


def of_pixart(kind: type[PixArtAlphaPipeline] | type[PixArtSigmaPipeline]) -> Small:
    pipeline = kind(
        transformer=pixart_transformer(), scheduler=DPMSolverMultistepScheduler(),
        vae=autoencoders.pictures(), text_encoder=text.t5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "use_resolution_binning": False, "clean_caption": False})


def pixart_alpha() -> Small:
    """PixArt-alpha: one modulation for all blocks, learned variance."""
    return of_pixart(PixArtAlphaPipeline)


def pixart_sigma() -> Small:
    """PixArt-sigma."""
    return of_pixart(PixArtSigmaPipeline)


def dit() -> Small:
    """DiT: class labels, the last of which is guidance's nothing."""
    transformer = DiTTransformer2DModel(
        sample_size=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        in_channels=4,
        out_channels=8,
    )
    pipeline = DiTPipeline(transformer=transformer, vae=autoencoders.pictures(), scheduler=DDIMScheduler())
    return Small(pipeline, {}, "label")


def sana() -> Small:
    """Sana: linear attention, gated convolutions, a deep autoencoder."""
    transformer = SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, num_attention_heads=2, attention_head_dim=8,
        sample_size=16, num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16,
        caption_channels=16,
    )  # fmt: skip
    pipeline = SanaPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=text.gemma2(), vae=autoencoders.deep_compression(), tokenizer=text.tokenizer(),
    )  # fmt: skip
    plain = {"use_resolution_binning": False, "clean_caption": False, "complex_human_instruction": None}
    return Small(pipeline, {"height": 32, "width": 32, "max_sequence_length": text.LENGTH, **plain})


def aura_flow() -> Small:
    """AuraFlow: joint blocks, then single ones."""
    transformer = AuraFlowTransformer2DModel(
        sample_size=8, in_channels=4, out_channels=4, num_mmdit_layers=1, num_single_dit_layers=1,
        attention_head_dim=8, num_attention_heads=2, joint_attention_dim=16, caption_projection_dim=16,
        pos_embed_max_size=64,
    )  # fmt: skip
    pipeline = AuraFlowPipeline(
        tokenizer=text.tokenizer(start=False), text_encoder=text.umt5(), vae=autoencoders.pictures(),
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def lumina_next() -> Small:
    """Lumina-Next: grouped queries, sandwich norms."""
    transformer = LuminaNextDiT2DModel(
        sample_size=4, in_channels=4, hidden_size=24, num_layers=2, num_attention_heads=3, num_kv_heads=1,
        multiple_of=8, norm_eps=1e-5, learn_sigma=True, cross_attention_dim=16,
    )  # fmt: skip
    pipeline = LuminaPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(), vae=autoencoders.pictures(),
        text_encoder=text.gemma2(), tokenizer=text.tokenizer(),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "clean_caption": False})


def lumina_2() -> Small:
    """Lumina 2: text and picture in one sequence, guidance in two calls."""
    transformer = Lumina2Transformer2DModel(
        sample_size=4, in_channels=4, hidden_size=24, num_layers=2, num_refiner_layers=1,
        num_attention_heads=3, num_kv_heads=1, multiple_of=8, axes_dim_rope=(4, 2, 2),
        axes_lens=(64, 16, 16), cap_feat_dim=16,
    )  # fmt: skip
    pipeline = Lumina2Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flow_pictures(), text_encoder=text.gemma2(), tokenizer=text.tokenizer(),
    )  # fmt: skip
    return Small(pipeline, {"height": 32, "width": 32, "max_sequence_length": text.LENGTH})


def hunyuan_dit() -> Small:
    """HunyuanDiT: BERT and T5, skip connections, 2-D rotary positions."""
    transformer = HunyuanDiT2DModel(
        sample_size=16, num_layers=4, patch_size=2, attention_head_dim=8, num_attention_heads=2,
        mlp_ratio=2.0, in_channels=4, hidden_size=16, cross_attention_dim=16, cross_attention_dim_t5=16,
        pooled_projection_dim=8, use_style_cond_and_image_meta_size=False,
    )  # fmt: skip
    pipeline = HunyuanDiTPipeline(
        transformer=transformer, vae=autoencoders.pictures(), text_encoder=text.bert(),
        tokenizer=text.tokenizer(), text_encoder_2=text.t5(), tokenizer_2=text.tokenizer(start=False),
        scheduler=DDPMScheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "use_resolution_binning": False})


def qwen_image() -> Small:
    """Qwen-Image: joint attention throughout, a language model that could see."""
    transformer = QwenImageTransformer2DModel(
        in_channels=16, out_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=(4, 2, 2),
    )  # fmt: skip
    pipeline = QwenImagePipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoders.qwen_pictures(), text_encoder=text.qwen_vl(),
        tokenizer=text.tokenizer(start=False, length=128),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "true_cfg_scale": 2.0, "negative_prompt": "a dog"})


def z_image() -> Small:
    """Z-Image: text and picture refined alone, then in one sequence."""
    transformer = ZImageTransformer2DModel(
        in_channels=4, dim=16, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
        axes_dims=[4, 2, 2], axes_lens=[64, 32, 32],
    )  # fmt: skip
    pipeline = ZImagePipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flow_pictures(), text_encoder=text.qwen3(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def chroma() -> Small:
    """Chroma: FLUX without CLIP, modulations from one small network."""
    transformer = ChromaTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=(4, 2, 2), approximator_num_channels=8,
        approximator_hidden_dim=16, approximator_layers=1,
    )  # fmt: skip
    pipeline = ChromaPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flow_pictures(), text_encoder=text.t5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def bria() -> Small:
    """Bria: FLUX's blocks behind T5."""
    transformer = BriaTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=16, axes_dims_rope=[4, 2, 2],
    )  # fmt: skip
    pipeline = BriaPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flow_pictures(), text_encoder=text.t5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def cogview_3() -> Small:
    """CogView 3: text before the picture, sizes as conditions."""
    transformer = CogView3PlusTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2,
        text_embed_dim=16, time_embed_dim=8, condition_dim=2, pos_embed_max_size=8, sample_size=8,
    )  # fmt: skip
    pipeline = CogView3PlusPipeline(
        transformer=transformer, scheduler=CogVideoXDDIMScheduler(), vae=autoencoders.pictures(),
        text_encoder=text.t5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def cogview_4() -> Small:
    """CogView 4: rotary positions, a language model."""
    transformer = CogView4Transformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2,
        text_embed_dim=16, time_embed_dim=8, condition_dim=4, pos_embed_max_size=8, sample_size=8,
        rope_axes_dim=(16, 16),
    )  # fmt: skip
    pipeline = CogView4Pipeline(
        transformer=transformer, vae=autoencoders.pictures(), text_encoder=text.glm(),
        scheduler=FlowMatchEulerDiscreteScheduler(
            base_shift=0.25, max_shift=0.75, base_image_seq_len=256, use_dynamic_shifting=True,
            time_shift_type="linear"
        ),
        tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def hidream() -> Small:
    """HiDream: four text encoders, experts."""
    transformer = HiDreamImageTransformer2DModel(
        patch_size=8, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8,
        num_attention_heads=2, caption_channels=[16, 16], text_emb_dim=32, num_routed_experts=2,
        num_activated_experts=1, axes_dims_rope=(4, 2, 2), max_resolution=(16, 16), llama_layers=(0, 1),
    )  # fmt: skip
    pipeline = HiDreamImagePipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flow_pictures(), text_encoder=text.clip(projected=True), tokenizer=text.tokenizer(),
        text_encoder_2=text.clip(projected=True), tokenizer_2=text.tokenizer(), text_encoder_3=text.t5(),
        tokenizer_3=text.tokenizer(start=False), text_encoder_4=text.llama_with_head(),
        tokenizer_4=text.tokenizer(),
    )  # fmt: skip
    return Small(pipeline, SHORT)


FAMILIES = (
    stable_diffusion_3, stable_diffusion_35, flux_dev, flux_schnell, flux_2, pixart_alpha, pixart_sigma, dit,
    sana, aura_flow, lumina_next, lumina_2, hunyuan_dit, qwen_image, z_image, chroma, bria, cogview_3,
    cogview_4, hidream,
)  # fmt: skip
