"""Denoisers of many families, straight from diffusers' classes, small enough for tests.

``DENOISERS`` maps a name to (class, settings, keyword arguments of one forward pass). Tensors are asked for
by their shape: a float tensor as a tuple, integers as a list, ones (a mask) as a set of one tuple.
"""

from typing import Any

import diffusers
import torch
from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina
from torch import nn

ROUND = dict.fromkeys(("sample_height", "sample_width"), 4)
FEW = {"num_layers": 2, "num_attention_heads": 3, "attention_head_dim": 8}
UNET = {"sample_size": 8, "layers_per_block": 1, "norm_num_groups": 4, "block_out_channels": (16, 32)}
CROSS = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 12,
}
IDS = {"img_ids": (16, 3), "txt_ids": (5, 3)}
ONE = [0.5]

DENOISERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "stable_diffusion": (
        "UNet2DConditionModel",
        {**UNET, **CROSS, "attention_head_dim": 4},
        {"sample": (2, 4, 8, 8), "timestep": [7], "encoder_hidden_states": (2, 5, 12)},
    ),
    "sdxl": (
        "UNet2DConditionModel",
        {
            **UNET, **CROSS, "attention_head_dim": (2, 4), "use_linear_projection": True,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "transformer_layers_per_block": (1, 2),
            "addition_embed_type": "text_time", "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 34,
        },
        {
            "sample": (2, 4, 8, 8), "timestep": [7], "encoder_hidden_states": (2, 5, 12),
            "added_cond_kwargs": {"text_embeds": (2, 10), "time_ids": (2, 6)},
        },
    ),
    "deepfloyd": (
        "UNet2DConditionModel",
        {
            **UNET, "cross_attention_dim": 12, "attention_head_dim": 8, "encoder_hid_dim": 12,
            "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
            "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            "resnet_time_scale_shift": "scale_shift",
        },
        {"sample": (2, 4, 8, 8), "timestep": [7], "encoder_hidden_states": (2, 5, 12)},
    ),
    "ddpm": (
        "UNet2DModel",
        {
            **UNET, "attention_head_dim": 8, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        },
        {"sample": (2, 3, 8, 8), "timestep": [7]},
    ),
    "modelscope": (
        "UNet3DConditionModel",
        {
            **UNET, "cross_attention_dim": 12, "attention_head_dim": 8,
            "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
            "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
        },
        {"sample": (1, 4, 3, 8, 8), "timestep": [7], "encoder_hidden_states": (1, 5, 12)},
    ),
    "animatediff": (
        "UNetMotionModel",
        {
            **UNET, "cross_attention_dim": 12, "num_attention_heads": 2, "motion_num_attention_heads": 2,
            "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
            "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
        },
        {"sample": (1, 4, 3, 8, 8), "timestep": [7], "encoder_hidden_states": (3, 5, 12)},
    ),
    "stable_video": (
        "UNetSpatioTemporalConditionModel",
        {
            "sample_size": 8, "layers_per_block": 1, "block_out_channels": (32, 64),
            "cross_attention_dim": 12,
            "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            "num_attention_heads": (2, 4), "num_frames": 2, "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 12,
        },
        {
            "sample": (1, 2, 8, 8, 8), "timestep": [7], "encoder_hidden_states": (1, 1, 12),
            "added_time_ids": (1, 3),
        },
    ),
    "dit": (
        "DiTTransformer2DModel",
        {**FEW, "sample_size": 8, "num_embeds_ada_norm": 5, "norm_num_groups": 4},
        {"hidden_states": (2, 4, 8, 8), "timestep": [7, 8], "class_labels": [1, 2]},
    ),
    "pixart": (
        "PixArtTransformer2DModel",
        {**FEW, "sample_size": 8, "cross_attention_dim": 24, "caption_channels": 12, "norm_num_groups": 4},
        {
            "hidden_states": (2, 4, 8, 8), "timestep": [7, 8], "encoder_hidden_states": (2, 5, 12),
            "encoder_attention_mask": {(2, 5)},
            "added_cond_kwargs": {"resolution": None, "aspect_ratio": None},
        },
    ),
    "sana": (
        "SanaTransformer2DModel",
        {
            **FEW, "in_channels": 4, "out_channels": 4, "num_cross_attention_heads": 2, "sample_size": 4,
            "cross_attention_head_dim": 12, "cross_attention_dim": 24, "caption_channels": 12,
        },
        {"hidden_states": (2, 4, 4, 4), "timestep": [7, 8], "encoder_hidden_states": (2, 5, 12)},
    ),
    "stable_diffusion_3": (
        "SD3Transformer2DModel",
        {
            **FEW, "sample_size": 8, "in_channels": 4, "out_channels": 4, "joint_attention_dim": 12,
            "caption_projection_dim": 24, "pooled_projection_dim": 10, "pos_embed_max_size": 8,
        },
        {
            "hidden_states": (2, 4, 8, 8), "timestep": [7, 8], "encoder_hidden_states": (2, 5, 12),
            "pooled_projections": (2, 10),
        },
    ),
    "stable_diffusion_35": (
        "SD3Transformer2DModel",
        {
            **FEW, "sample_size": 8, "in_channels": 4, "out_channels": 4, "joint_attention_dim": 12,
            "caption_projection_dim": 24, "pooled_projection_dim": 10, "pos_embed_max_size": 8,
            "qk_norm": "rms_norm", "dual_attention_layers": (0,),
        },
        {
            "hidden_states": (2, 4, 8, 8), "timestep": [7, 8], "encoder_hidden_states": (2, 5, 12),
            "pooled_projections": (2, 10),
        },
    ),
    "flux": (
        "FluxTransformer2DModel",
        {
            **FEW, "in_channels": 4, "num_single_layers": 2, "joint_attention_dim": 12,
            "pooled_projection_dim": 10, "axes_dims_rope": (2, 2, 4),
        },
        {
            "hidden_states": (2, 16, 4), "timestep": (2,), "encoder_hidden_states": (2, 5, 12),
            "pooled_projections": (2, 10), **IDS,
        },
    ),
    "flux2": (
        "Flux2Transformer2DModel",
        {
            **FEW, "in_channels": 4, "num_single_layers": 2, "joint_attention_dim": 12,
            "timestep_guidance_channels": 8, "axes_dims_rope": (2, 2, 2, 2), "num_layers": 1,
        },
        {
            "hidden_states": (2, 16, 4), "timestep": (2,), "encoder_hidden_states": (2, 5, 12),
            "img_ids": (16, 4), "txt_ids": (5, 4), "guidance": (2,),
        },
    ),
    "chroma": (
        "ChromaTransformer2DModel",
        {
            **FEW, "in_channels": 4, "num_single_layers": 2, "joint_attention_dim": 12,
            "axes_dims_rope": (2, 2, 4), "approximator_num_channels": 8, "approximator_hidden_dim": 16,
            "approximator_layers": 1,
        },
        {"hidden_states": (2, 16, 4), "timestep": (2,), "encoder_hidden_states": (2, 5, 12), **IDS},
    ),
    "auraflow": (
        "AuraFlowTransformer2DModel",
        {
            "sample_size": 8, "num_mmdit_layers": 1, "num_single_dit_layers": 2, "attention_head_dim": 8,
            "num_attention_heads": 4, "joint_attention_dim": 12, "caption_projection_dim": 32,
            "pos_embed_max_size": 16,
        },
        {"hidden_states": (2, 4, 8, 8), "timestep": (2,), "encoder_hidden_states": (2, 5, 12)},
    ),
    "qwen_image": (
        "QwenImageTransformer2DModel",
        {
            **FEW, "in_channels": 16, "out_channels": 4, "joint_attention_dim": 12,
            "axes_dims_rope": (2, 2, 4),
        },
        {
            "hidden_states": (2, 16, 16), "timestep": (2,), "encoder_hidden_states": (2, 5, 12),
            "encoder_hidden_states_mask": {(2, 5)}, "img_shapes": lambda: [[(1, 4, 4)]] * 2,
        },
    ),
    "lumina_next": (
        "LuminaNextDiT2DModel",
        {
            "sample_size": 4, "in_channels": 4, "hidden_size": 24, "num_layers": 2, "num_attention_heads": 3,
            "num_kv_heads": 1, "multiple_of": 8, "norm_eps": 1e-5, "learn_sigma": True,
            "cross_attention_dim": 12,
        },
        {
            "hidden_states": (2, 4, 8, 8), "timestep": (2,), "encoder_hidden_states": (2, 5, 12),
            "encoder_mask": {(2, 5)}, "image_rotary_emb": lambda: get_2d_rotary_pos_embed_lumina(8, 8, 8),
            "cross_attention_kwargs": {},
        },
    ),
    "lumina2": (
        "Lumina2Transformer2DModel",
        {
            "sample_size": 8, "in_channels": 4, "hidden_size": 48, "num_layers": 2, "num_refiner_layers": 1,
            "num_attention_heads": 6, "num_kv_heads": 3, "multiple_of": 16, "axes_dim_rope": (4, 2, 2),
            "axes_lens": (32, 32, 32), "cap_feat_dim": 12,
        },
        {
            "hidden_states": (2, 4, 8, 8), "timestep": (2,), "encoder_hidden_states": (2, 5, 12),
            "encoder_attention_mask": {(2, 5)},
        },
    ),
    "z_image": (
        "ZImageTransformer2DModel",
        {
            "all_patch_size": (2,), "all_f_patch_size": (1,), "in_channels": 4, "dim": 48, "n_layers": 2,
            "n_refiner_layers": 1, "n_heads": 3, "n_kv_heads": 3, "cap_feat_dim": 12, "axes_dims": [4, 6, 6],
            "axes_lens": [64, 64, 64],
        },
        {"x": lambda: [torch.zeros(4, 1, 8, 8)] * 2, "t": (2,), "cap_feats": lambda: [torch.ones(5, 12)] * 2},
    ),
    "hunyuan_dit": (
        "HunyuanDiT2DModel",
        {
            **FEW, "in_channels": 4, "patch_size": 2, "sample_size": 8, "hidden_size": 24, "text_len": 5,
            "cross_attention_dim": 12, "cross_attention_dim_t5": 16, "pooled_projection_dim": 8,
            "text_len_t5": 5, "use_style_cond_and_image_meta_size": False,
        },
        {
            "hidden_states": (2, 4, 8, 8), "timestep": (2,), "encoder_hidden_states": (2, 5, 12),
            "text_embedding_mask": {(2, 5)}, "encoder_hidden_states_t5": (2, 5, 16),
            "text_embedding_mask_t5": {(2, 5)}, "image_rotary_emb": ((16, 8), (16, 8)),
        },
    ),
    "wan": (
        "WanTransformer3DModel",
        {
            **FEW, "attention_head_dim": 12, "in_channels": 4, "out_channels": 4, "text_dim": 12,
            "freq_dim": 8, "ffn_dim": 20, "rope_max_seq_len": 32,
        },
        {"hidden_states": (1, 4, 2, 8, 8), "timestep": [7], "encoder_hidden_states": (1, 5, 12)},
    ),
    "ltx": (
        "LTXVideoTransformer3DModel",
        {**FEW, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 24, "caption_channels": 12},
        {
            "hidden_states": (1, 16, 4), "timestep": [7], "encoder_hidden_states": (1, 5, 12),
            "encoder_attention_mask": {(1, 5)}, "num_frames": lambda: 1, "height": lambda: 4,
            "width": lambda: 4,
        },
    ),
    "cogvideox": (
        "CogVideoXTransformer3DModel",
        {
            **FEW, **ROUND, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4,
            "time_embed_dim": 8, "text_embed_dim": 12, "sample_frames": 5, "max_text_seq_length": 5,
        },
        {"hidden_states": (1, 2, 4, 4, 4), "timestep": [7], "encoder_hidden_states": (1, 5, 12)},
    ),
    "hunyuan_video": (
        "HunyuanVideoTransformer3DModel",
        {
            **FEW, "in_channels": 4, "out_channels": 4, "num_single_layers": 2, "num_refiner_layers": 1,
            "text_embed_dim": 12, "pooled_projection_dim": 8, "rope_axes_dim": (2, 2, 4), "num_layers": 1,
        },
        {
            "hidden_states": (1, 4, 1, 4, 4), "timestep": [7], "encoder_hidden_states": (1, 5, 12),
            "encoder_attention_mask": {(1, 5)}, "pooled_projections": (1, 8), "guidance": (1,),
        },
    ),
    "mochi": (
        "MochiTransformer3DModel",
        {
            **FEW, "in_channels": 4, "pooled_projection_dim": 24, "text_embed_dim": 16, "time_embed_dim": 8,
            "max_sequence_length": 5,
        },
        {
            "hidden_states": (1, 4, 1, 8, 8), "timestep": [7], "encoder_hidden_states": (1, 5, 16),
            "encoder_attention_mask": {(1, 5)},
        },
    ),
    "cogview4": (
        "CogView4Transformer2DModel",
        {
            **FEW, "in_channels": 4, "out_channels": 4, "text_embed_dim": 12, "time_embed_dim": 8,
            "condition_dim": 4, "pos_embed_max_size": 8, "sample_size": 8, "rope_axes_dim": (8, 8),
        },
        {
            "hidden_states": (1, 4, 8, 8), "timestep": [7], "encoder_hidden_states": (1, 5, 12),
            "original_size": (1, 2), "target_size": (1, 2), "crop_coords": (1, 2),
        },
    ),
    "stable_audio": (
        "StableAudioDiTModel",
        {
            "sample_size": 8, "in_channels": 4, "num_layers": 2, "attention_head_dim": 8,
            "num_attention_heads": 4, "num_key_value_attention_heads": 2, "out_channels": 4,
            "cross_attention_dim": 16, "time_proj_dim": 8, "global_states_input_dim": 12,
            "cross_attention_input_dim": 12,
        },
        {
            "hidden_states": (2, 4, 8), "timestep": (2,), "encoder_hidden_states": (2, 5, 12),
            "global_hidden_states": (2, 1, 12), "rotary_embedding": ((9, 4), (9, 4)),
        },
    ),
    "stable_audio_3": (
        "StableAudio3DiTModel",
        {
            "io_channels": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "cond_token_dim": 12,
            "global_cond_dim": 12, "local_add_cond_dim": 5, "timestep_features_dim": 8,
            "num_memory_tokens": 2,
        },
        {
            "hidden_states": (2, 4, 8), "timestep": (2,), "encoder_hidden_states": (2, 5, 12),
            "global_hidden_states": (2, 12), "encoder_attention_mask": {(2, 5)},
        },
    ),
    "latte": (
        "LatteTransformer3DModel",
        {
            **FEW, "in_channels": 4, "out_channels": 4, "patch_size": 2, "sample_size": 8, "video_length": 2,
            "caption_channels": 12, "cross_attention_dim": 24, "activation_fn": "gelu-approximate",
            "num_embeds_ada_norm": 10, "norm_type": "ada_norm_single", "norm_elementwise_affine": False,
            "num_layers": 1,
        },
        {"hidden_states": (1, 4, 2, 8, 8), "timestep": [7], "encoder_hidden_states": (1, 5, 12)},
    ),
    "prior": (
        "PriorTransformer",
        {**FEW, "embedding_dim": 12, "num_embeddings": 5},
        {
            "hidden_states": (2, 12), "timestep": [7, 8], "proj_embedding": (2, 12),
            "encoder_hidden_states": (2, 5, 12), "attention_mask": None,
        },
    ),
    "hidream": (
        "HiDreamImageTransformer2DModel",
        {
            "patch_size": 2, "in_channels": 4, "out_channels": 4, "num_layers": 1, "num_single_layers": 1,
            "attention_head_dim": 8, "num_attention_heads": 3, "caption_channels": [12, 10],
            "text_emb_dim": 8, "num_routed_experts": 2, "num_activated_experts": 1,
            "axes_dims_rope": (4, 2, 2),
            "max_resolution": (8, 8), "llama_layers": [0, 0], "force_inference_output": True,
        },
        {
            "hidden_states": (1, 4, 8, 8), "timesteps": [7], "encoder_hidden_states_t5": (1, 5, 12),
            "encoder_hidden_states_llama3": (1, 1, 5, 10), "pooled_embeds": (1, 8),
        },
    ),
}  # fmt: skip


GRANULARITIES = ("head", "neuron", "operator", "block", "modulation")
# Units of each granularity, in the order above.
UNITS = {
    "stable_diffusion": (8, 4, 65, 12, 0),
    "sdxl": (16, 8, 81, 16, 0),
    "deepfloyd": (0, 0, 40, 8, 0),
    "ddpm": (4, 0, 33, 8, 0),
    "modelscope": (18, 9, 156, 17, 0),
    "animatediff": (22, 11, 114, 19, 0),
    "stable_video": (16, 12, 121, 24, 0),
    "dit": (2, 2, 9, 1, 2),
    "pixart": (4, 2, 11, 2, 1),
    "sana": (4, 2, 12, 2, 1),
    "stable_diffusion_3": (2, 3, 13, 2, 5),
    "stable_diffusion_35": (3, 3, 14, 2, 5),
    "flux": (4, 6, 19, 4, 7),
    "flux2": (3, 4, 12, 3, 4),
    "chroma": (4, 6, 20, 4, 0),
    "auraflow": (3, 4, 15, 3, 4),
    "qwen_image": (2, 4, 16, 2, 5),
    "lumina_next": (0, 2, 22, 2, 3),
    "lumina2": (4, 4, 26, 4, 4),
    "z_image": (4, 4, 26, 4, 4),
    "hunyuan_dit": (4, 2, 13, 2, 3),
    "wan": (4, 2, 13, 2, 1),
    "ltx": (2, 2, 7, 2, 1),
    "cogvideox": (2, 2, 10, 2, 5),
    "hunyuan_video": (4, 5, 16, 4, 6),
    "mochi": (0, 3, 6, 2, 5),
    "cogview4": (2, 2, 13, 2, 3),
    "stable_audio": (4, 2, 14, 2, 0),
    "stable_audio_3": (4, 4, 10, 2, 0),
    "latte": (3, 2, 10, 2, 1),
    "prior": (2, 2, 9, 2, 0),
    "hidream": (2, 7, 16, 2, 3),
}
# Where heads share the statistics of a norm, gating is not slimming.
NORMED_ACROSS = {"wan", "ltx", "hidream"}
# What is not offered: its class lays heads out by the width of something else, it is given something for each
# head, or its model reads more of it than its output.
MISSED = {
    "deepfloyd": {("head", "Attention", 4)},
    "dit": {("block", "BasicTransformerBlock", 1)},
    "hunyuan_dit": {("head", "HunyuanDiTAttentionPool", 1), ("operator", "HunyuanDiTAttentionPool", 1)},
    "ltx": {("head", "LTXAttention", 2)},
    "lumina_next": {("head", "Attention", 2), ("operator", "Attention", 4)},
    "mochi": {
        ("head", "MochiAttentionPool", 1),
        ("head", "MochiAttention", 2),
        ("operator", "MochiAttentionPool", 1),
    },
}


def denoiser(name: str, **settings: Any) -> tuple[nn.Module, dict[str, Any]]:
    """A small instance with all weights drawn, those that start from zero too, and its inputs."""
    kind, sizes, inputs = DENOISERS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        root = getattr(diffusers, kind)(**{**sizes, **settings})
        drawn(root)
        return root.eval().requires_grad_(False), {key: _made(value) for key, value in inputs.items()}


@torch.no_grad()
def drawn(root: nn.Module) -> None:
    """Noise in every parameter: no bias is zero, no norm is one."""
    for parameter in root.parameters():
        spread = parameter.shape[1:].numel() ** -0.5 if parameter.ndim > 1 else 0.3
        start = 1.0 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0.0
        parameter.copy_(start + spread * torch.randn(parameter.shape))


def _made(asked: Any) -> Any:
    match asked:
        case dict():
            return {key: _made(value) for key, value in asked.items()}
        case set():
            return torch.ones(*asked, dtype=torch.bool)
        case list():
            return torch.tensor(asked)
        case tuple() if asked and isinstance(asked[0], tuple):
            return tuple(_made(each) for each in asked)
        case tuple():
            return torch.randn(asked)
        case _:
            return asked() if callable(asked) else asked
