"""The environment every test runs in, set before torch is imported.

One thread that sleeps while it waits: results are bitwise equal only at an equal thread count, and
spinning threads on shared cores are many times slower. Nothing may reach for the network.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from families import Small

    from prunelab.core.protocols import Model
    from prunelab.models.pipeline import PipelineModel

# What a small FluxPipeline is asked with: its sides, T5's tokens, and the guidance that it is told.
FLUX_CALL = {"height": 16, "width": 16, "max_sequence_length": 8, "guidance_scale": 3.5}

os.environ.update(
    OMP_WAIT_POLICY="PASSIVE",
    OMP_NUM_THREADS="1",
    HF_HUB_OFFLINE="1",
    WANDB_MODE="offline",
)


@pytest.fixture(scope="session")
def model() -> "PipelineModel":
    """The embedded text-to-image model; tests must leave it as it was."""
    from prunelab.models.pipeline import PipelineModel

    return PipelineModel.open("tiny_t2i", embedded="tiny_t2i")


@pytest.fixture(scope="session")
def pixels() -> "Model":
    """The embedded unconditional model of pixels; tests must leave it as it was."""
    from prunelab.models.pipeline import PipelineModel

    return PipelineModel.open("tiny_uig", embedded="tiny_uig")


@pytest.fixture(scope="session")
def latents() -> "Model":
    """The embedded unconditional model of latents; tests must leave it as it was."""
    from prunelab.models.pipeline import PipelineModel

    return PipelineModel.open("tiny_uig_latent", embedded="tiny_uig_latent")


@pytest.fixture(params=["pixels", "latents"])
def unconditional(request: pytest.FixtureRequest) -> "Model":
    """Either of the embedded unconditional image models."""
    found: Model = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def classes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class-conditional model of 4 classes and the null class, its weights drawn from seed 0."""
    import shutil

    from prunelab.models.origins import published
    from prunelab.surgery.skeletons import skeleton

    small = tmp_path_factory.mktemp("classes") / "configurations"
    shutil.copytree(published("ldm4_imagenet"), small)
    changed: dict[str, dict[str, Any]] = {}
    changed["unet"] = {
        "sample_size": 8,
        "block_out_channels": [16, 32],
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": 2,
        "cross_attention_dim": 12,
        "encoder_hid_dim": 5,
    }
    changed["vqvae"] = {
        "sample_size": 32,
        "block_out_channels": [8, 8, 16],
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "num_vq_embeddings": 16,
    }
    for part, settings in changed.items():
        config = json.loads((small / part / "config.json").read_text())
        (small / part / "config.json").write_text(json.dumps({**config, **settings}))
    skeleton(small, "cpu").save_pretrained(small.parent / "model")
    return small.parent / "model"


@pytest.fixture(scope="session")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FluxPipeline small enough for tests, its weights drawn from seed 0."""
    import torch
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        FluxPipeline,
        FluxTransformer2DModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    from prunelab.pretraining.words import word_tokenizer

    tokenizers = [word_tokenizer(["a red seven on a blue background"], 8) for _ in range(2)]
    words = len(tokenizers[0])
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip = CLIPTextConfig(
            vocab_size=words, hidden_size=20, intermediate_size=24, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=8, projection_dim=20, **ends,
        )  # fmt: skip
        pipeline = FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
            vae=AutoencoderKL(
                block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4,
                up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4, sample_size=16, shift_factor=0.1,
                use_quant_conv=False, use_post_quant_conv=False,
            ),
            text_encoder=CLIPTextModel(clip),
            tokenizer=tokenizers[0],
            text_encoder_2=T5EncoderModel(
                T5Config(vocab_size=words, d_model=24, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
            ),
            tokenizer_2=tokenizers[1],
            transformer=FluxTransformer2DModel(
                in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=16,
                num_attention_heads=3, joint_attention_dim=24, pooled_projection_dim=20,
                guidance_embeds=True, axes_dims_rope=(4, 6, 6),
            ),
        )  # fmt: skip
    folder = tmp_path_factory.mktemp("flux") / "model"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def flux(flux_folder: Path) -> "PipelineModel":
    """A FLUX-like model with random weights; tests must leave it as it was."""
    from prunelab.models.pipeline import PipelineModel

    return PipelineModel.open("flux", str(flux_folder), call=FLUX_CALL)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], tuple[Small, Path]]":
    """A small pipeline by its family's name, and the folder it is saved in; tests must leave both alone."""
    from families import FAMILIES

    made: dict[str, tuple[Small, Path]] = {}

    def saved(name: str) -> "tuple[Small, Path]":
        if name not in made:
            small = FAMILIES[name]()
            folder = tmp_path_factory.mktemp(name) / "model"
            small.pipeline.save_pretrained(folder)
            made[name] = small, folder
        return made[name]

    return saved


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights that knows letters, in transformers' format; tests must leave it as it was."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip") / "model"
    folder.mkdir()
    letters = [chr(i) for i in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": len(words), "max_position_embeddings": 40, "eos_token_id": len(words) - 1}
    vision = {**small, "image_size": 16, "patch_size": 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
        CLIPModel(config).save_pretrained(folder)
    size = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    CLIPImageProcessorPil(**size).save_pretrained(folder)
    return folder
