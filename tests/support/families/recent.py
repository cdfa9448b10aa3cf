"""Small pipelines of the denoisers that came last, most of them joint or grouped-query transformers."""

from diffusers import (
    AceStepConditionEncoder,
    AceStepPipeline,
    AceStepTransformer1DModel,
    AnyFlowPipeline,
    AnyFlowTransformer3DModel,
    AutoencoderKLHunyuanImage,
    AutoencoderKLHunyuanVideo15,
    AutoencoderKLMagvit,
    AutoencoderSAME,
    BriaFiboPipeline,
    BriaFiboTransformer2DModel,
    ClassifierFreeGuidance,
    DDPMWuerstchenScheduler,
    EasyAnimatePipeline,
    EasyAnimateTransformer3DModel,
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
    FlowMapEulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    HunyuanImagePipeline,
    HunyuanImageTransformer2DModel,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    LongCatImagePipeline,
    LongCatImageTransformer2DModel,
    MotifVideoPipeline,
    MotifVideoTransformer3DModel,
    NucleusMoEImagePipeline,
    NucleusMoEImageTransformer2DModel,
    OvisImagePipeline,
    OvisImageTransformer2DModel,
    SanaSprintPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    StableAudio3DiTModel,
    StableAudio3DurationEmbedder,
    StableAudio3Pipeline,
    StableCascadePriorPipeline,
    StableCascadeUNet,
)

from . import autoencoders, text
from .small import Small

SIZE = {"height": 16, "width": 16}
SHORT = {**SIZE, "max_sequence_length": text.LENGTH}


def ovis_image() -> Small:
    """Ovis-Image: FLUX's blocks behind a language model."""
    transformer = OvisImageTransformer2DModel(
        in_channels=16, out_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=16, axes_dims_rope=(4, 2, 2),
    )  # fmt: skip
    pipeline = OvisImagePipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flow_pictures(), text_encoder=text.qwen3_body(),
        tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SHORT)


def sana_sprint() -> Small:
    """Sana-Sprint: norms of queries and keys across heads, the guidance is an input."""
    transformer = SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, num_attention_heads=2, attention_head_dim=8,
        sample_size=16, num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16,
        caption_channels=16, qk_norm="rms_norm_across_heads", guidance_embeds=True,
    )  # fmt: skip
    pipeline = SanaSprintPipeline(
        transformer=transformer, scheduler=SCMScheduler(), text_encoder=text.gemma2(),
        vae=autoencoders.deep_compression(), tokenizer=text.tokenizer(),
    )  # fmt: skip
    plain = {"use_resolution_binning": False, "clean_caption": False, "complex_human_instruction": None}
    return Small(pipeline, {"height": 32, "width": 32, "max_sequence_length": text.LENGTH, **plain})


def stable_cascade_prior() -> Small:
    """Stable Cascade's first stage: a U-Net of its own that makes the latents of another model."""
    prior = StableCascadeUNet(
        in_channels=4, out_channels=4, conditioning_dim=16, block_out_channels=(16, 16),
        num_attention_heads=(2, 2), down_num_layers_per_block=(1, 1), up_num_layers_per_block=(1, 1),
        clip_image_in_channels=16, clip_text_in_channels=16, clip_text_pooled_in_channels=16,
        switch_level=(False,), timestep_ratio_embedding_dim=8,
    )  # fmt: skip
    pipeline = StableCascadePriorPipeline(
        prior=prior, text_encoder=text.clip(projected=True), tokenizer=text.tokenizer(),
        scheduler=DDPMWuerstchenScheduler(),
    )  # fmt: skip
    return Small(pipeline, {"height": 128, "width": 128}, denoiser="prior")


def bria_fibo() -> Small:
    """Bria FIBO: every block attends to a layer of the text model of its own."""
    transformer = BriaFiboTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=32, text_encoder_dim=16, axes_dims_rope=[4, 2, 2],
    )  # fmt: skip
    pipeline = BriaFiboPipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(), vae=autoencoders.wan(),
        text_encoder=text.smollm3(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(
        pipeline, {"height": 32, "width": 32, "max_sequence_length": text.LENGTH, "negative_prompt": "a dog"}
    )


def ernie_image() -> Small:
    """ERNIE-Image: text and picture in one sequence."""
    transformer = ErnieImageTransformer2DModel(
        hidden_size=16, num_attention_heads=2, num_layers=2, ffn_hidden_size=24, in_channels=16,
        out_channels=16, text_in_dim=16, rope_axes_dim=(4, 2, 2),
    )  # fmt: skip
    pipeline = ErnieImagePipeline(
        transformer=transformer, vae=autoencoders.flux2_pictures(), text_encoder=text.qwen3_body(),
        tokenizer=text.tokenizer(start=False), scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "use_pe": False})


def krea_2() -> Small:
    """Krea 2: grouped queries, gated attention, states of several layers of the text model."""
    transformer = Krea2Transformer2DModel(
        in_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=24, timestep_embed_dim=8, text_hidden_dim=16, num_text_layers=2,
        text_num_attention_heads=2, text_num_key_value_heads=2, text_intermediate_size=24,
        num_layerwise_text_blocks=1, num_refiner_text_blocks=1, axes_dims_rope=(4, 2, 2),
    )  # fmt: skip
    pipeline = Krea2Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoders.qwen_pictures(), text_encoder=text.qwen3_vl(),
        tokenizer=text.tokenizer(start=False, length=128), text_encoder_select_layers=(1, 2),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "max_sequence_length": 16})


def hunyuan_image() -> Small:
    """HunyuanImage 2.1: two text models, one of them for letters."""
    transformer = HunyuanImageTransformer2DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, text_embed_dim=16, text_embed_2_dim=16,
        rope_axes_dim=(4, 4),
    )  # fmt: skip
    vae = AutoencoderKLHunyuanImage(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(32, 32), layers_per_block=1,
        spatial_compression_ratio=2, sample_size=16, scaling_factor=0.75,
    )  # fmt: skip
    pipeline = HunyuanImagePipeline(
        transformer=transformer, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=text.qwen_vl(), tokenizer=text.tokenizer(start=False, length=128),
        text_encoder_2=text.t5(), tokenizer_2=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, SIZE)


def any_flow() -> Small:
    """AnyFlow: Wan's blocks told two times, steps of any length."""
    transformer = AnyFlowTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=16, freq_dim=16, ffn_dim=24, num_layers=2,
        rope_max_seq_len=32,
    )  # fmt: skip
    pipeline = AnyFlowPipeline(
        transformer=transformer, vae=autoencoders.wan(), scheduler=FlowMapEulerDiscreteScheduler(),
        text_encoder=text.umt5(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "num_frames": 5})


def hunyuan_video_15() -> Small:
    """HunyuanVideo 1.5: joint blocks alone, guidance by a component."""
    transformer = HunyuanVideo15Transformer3DModel(
        in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=8, num_layers=2,
        num_refiner_layers=1, text_embed_dim=16, text_embed_2_dim=16, image_embed_dim=12,
        rope_axes_dim=(2, 2, 4), target_size=16, task_type="t2v",
    )  # fmt: skip
    vae = AutoencoderKLHunyuanVideo15(
        latent_channels=4, block_out_channels=(16, 16), layers_per_block=1, spatial_compression_ratio=4,
        temporal_compression_ratio=4, downsample_match_channel=False, upsample_match_channel=False,
    )  # fmt: skip
    pipeline = HunyuanVideo15Pipeline(
        transformer=transformer, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=text.qwen_vl_text(), tokenizer=text.tokenizer(start=False), text_encoder_2=text.t5(),
        tokenizer_2=text.tokenizer(start=False), guider=ClassifierFreeGuidance(guidance_scale=2.0),
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "num_frames": 5})


def motif_video() -> Small:
    """Motif-Video: joint blocks, then single ones, guidance by a component."""
    transformer = MotifVideoTransformer3DModel(
        in_channels=33, out_channels=16, num_attention_heads=2, attention_head_dim=8, num_layers=1,
        num_single_layers=1, text_embed_dim=16, rope_axes_dim=(2, 2, 4),
    )  # fmt: skip
    pipeline = MotifVideoPipeline(
        transformer=transformer, vae=autoencoders.wan(), scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=text.t5_gemma2(), tokenizer=text.tokenizer(start=False),
        guider=ClassifierFreeGuidance(guidance_scale=2.0),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "num_frames": 5})


def easy_animate() -> Small:
    """EasyAnimate: joint attention with positions of three dimensions."""
    transformer = EasyAnimateTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, patch_size=2,
        sample_width=4, sample_height=4, num_layers=2, mmdit_layers=1, time_embed_dim=8, text_embed_dim=16,
    )  # fmt: skip
    vae = AutoencoderKLMagvit(
        latent_channels=4, block_out_channels=[8, 8, 8, 8], layers_per_block=1, norm_num_groups=2,
    )  # fmt: skip
    pipeline = EasyAnimatePipeline(
        transformer=transformer, vae=vae, scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=text.qwen_vl(), tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "num_frames": 5, "negative_prompt": "a dog"})


def ace_step() -> Small:
    """ACE-Step: music, grouped queries, layers that look near and far in turns."""
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 4}
    transformer = AceStepTransformer1DModel(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, in_channels=12,
        audio_acoustic_hidden_dim=4, **heads,
    )  # fmt: skip
    condition = AceStepConditionEncoder(
        hidden_size=16, intermediate_size=24, text_hidden_dim=16, timbre_hidden_dim=4,
        num_lyric_encoder_hidden_layers=1, num_timbre_encoder_hidden_layers=1, **heads,
    )  # fmt: skip
    pipeline = AceStepPipeline(
        vae=autoencoders.oobleck(), text_encoder=text.qwen3_body(),
        tokenizer=text.tokenizer(start=False, length=64), transformer=transformer,
        condition_encoder=condition,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )  # fmt: skip
    return Small(pipeline, {"audio_duration": 1.0})


def stable_audio_3() -> Small:
    """Stable Audio 3: differential attention, tokens of memory."""
    transformer = StableAudio3DiTModel(
        io_channels=4, embed_dim=16, depth=2, num_heads=2, cond_token_dim=16, global_cond_dim=16,
        local_add_cond_dim=5, timestep_features_dim=8, num_memory_tokens=2,
    )  # fmt: skip
    vae = AutoencoderSAME(
        patch_size=2, encoder_channels=8, encoder_c_mults=(1,), encoder_strides=(2,),
        encoder_transformer_depths=(1,), latent_dim=4, dim_heads=8, sampling_rate=64,
        encoder_sinusoidal_blocks=(0,), decoder_sinusoidal_blocks=(0,),
    )  # fmt: skip
    pipeline = StableAudio3Pipeline(
        vae=vae, text_encoder=text.t5_gemma(), tokenizer=text.tokenizer(start=False),
        duration_embedder=StableAudio3DurationEmbedder(output_dim=16, fourier_dim=8),
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip
    return Small(pipeline, {"duration": 1.0})


def longcat_image() -> Small:
    """LongCat-Image: FLUX's blocks behind a language model that could see."""
    transformer = LongCatImageTransformer2DModel(
        in_channels=64, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=[4, 2, 2],
    )  # fmt: skip
    pipeline = LongCatImagePipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flow_pictures(16), text_encoder=text.qwen_vl(),
        tokenizer=text.tokenizer(start=False), text_processor=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SIZE, "enable_prompt_rewrite": False})


def nucleus() -> Small:
    """Nucleus-Image: experts that choose their tokens."""
    transformer = NucleusMoEImageTransformer2DModel(
        in_channels=16, out_channels=4, num_layers=5, attention_head_dim=8, num_attention_heads=2,
        num_key_value_heads=1, joint_attention_dim=16, axes_dims_rope=(4, 2, 2), num_experts=2,
        moe_intermediate_dim=8, capacity_factors=2.0,
    )  # fmt: skip
    pipeline = NucleusMoEImagePipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.qwen_pictures(), text_encoder=text.qwen3_vl(), processor=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "return_index": -1})


def flux_2_dev() -> Small:
    """FLUX.2 dev: distilled guidance is an input."""
    transformer = Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=48, timestep_guidance_channels=16, axes_dims_rope=(2, 2, 2, 2),
    )  # fmt: skip
    pipeline = Flux2Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoders.flux2_pictures(), text_encoder=text.qwen3(layers=3),
        tokenizer=text.tokenizer(start=False),
    )  # fmt: skip
    return Small(pipeline, {**SHORT, "text_encoder_out_layers": (1, 2, 3)})


FAMILIES = (
    ovis_image, sana_sprint, stable_cascade_prior, bria_fibo, ernie_image, krea_2, hunyuan_image, any_flow,
    hunyuan_video_15, motif_video, easy_animate, ace_step, stable_audio_3, longcat_image, nucleus, flux_2_dev,
)  # fmt: skip
