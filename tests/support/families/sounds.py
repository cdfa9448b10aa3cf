"""Small pipelines of sounds."""

from diffusers import (
    AudioLDM2Pipeline,
    AudioLDM2ProjectionModel,
    AudioLDM2UNet2DConditionModel,
    DanceDiffusionPipeline,
    DDIMScheduler,
    EDMDPMSolverMultistepScheduler,
    IPNDMScheduler,
    StableAudioDiTModel,
    StableAudioPipeline,
    StableAudioProjectionModel,
    UNet1DModel,
)
from transformers import ClapFeatureExtractor, SpeechT5HifiGan, SpeechT5HifiGanConfig

from . import autoencoders, text
from .small import Small


def stable_audio() -> Small:
    """Stable Audio Open: grouped queries, seconds as conditions."""
    transformer = StableAudioDiTModel(
        sample_size=8, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, num_key_value_attention_heads=1, cross_attention_dim=8, time_proj_dim=8,
        global_states_input_dim=16, cross_attention_input_dim=8,
    )  # fmt: skip
    projection = StableAudioProjectionModel(
        text_encoder_dim=16, conditioning_dim=8, min_value=0, max_value=32
    )
    pipeline = StableAudioPipeline(
        vae=autoencoders.oobleck(), text_encoder=text.t5(), projection_model=projection,
        transformer=transformer, tokenizer=text.tokenizer(start=False),
        scheduler=EDMDPMSolverMultistepScheduler(
            sigma_min=0.3, sigma_max=500.0, sigma_data=1.0, prediction_type="v_prediction",
            sigma_schedule="exponential"
        ),
    )  # fmt: skip
    return Small(pipeline, {"audio_end_in_s": 1.0})


def audioldm2() -> Small:
    """AudioLDM 2: a U-Net that attends to T5 and to what GPT-2 writes."""
    unet = AudioLDM2UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=8, norm_num_groups=4,
        attention_head_dim=2, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        cross_attention_dim=([None, 16, 16],) * 2, up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    voice = SpeechT5HifiGanConfig(
        model_in_dim=8, sampling_rate=16000, upsample_initial_channel=8, upsample_rates=[2, 2],
        upsample_kernel_sizes=[4, 4], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
        normalize_before=False,
    )  # fmt: skip
    pipeline = AudioLDM2Pipeline(
        vae=autoencoders.pictures(in_channels=1, out_channels=1), text_encoder=text.clap(),
        text_encoder_2=text.t5(), projection_model=AudioLDM2ProjectionModel(16, 16, 16),
        language_model=text.gpt2(), tokenizer=text.roberta_tokenizer(), tokenizer_2=text.t5_tokenizer(),
        unet=unet, feature_extractor=ClapFeatureExtractor(feature_size=16),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195, clip_sample=False,
            set_alpha_to_one=False, steps_offset=1,
        ),
        vocoder=SpeechT5HifiGan(voice),
    )  # fmt: skip
    return Small(pipeline, {"audio_length_in_s": 0.004}, denoiser="unet")


def dance_diffusion() -> Small:
    """Dance Diffusion: a U-Net on the waveform."""
    unet = UNet1DModel(
        block_out_channels=(32, 32, 64), extra_in_channels=64, sample_size=32, sample_rate=16000,
        use_timestep_embedding=False, flip_sin_to_cos=True, time_embedding_type="fourier",
    )  # fmt: skip
    return Small(DanceDiffusionPipeline(unet, IPNDMScheduler()), {"audio_length_in_s": 0.002}, "none", "unet")


FAMILIES = (stable_audio, audioldm2, dance_diffusion)
