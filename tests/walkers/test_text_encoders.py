"""Units of the text encoders that diffusers' pipelines have: gating them is slimming them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from denoisers import drawn
from torch import Tensor, nn

from prunelab.core.draws import generator
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.slimming import slim
from prunelab.walkers.coverage import missed
from prunelab.walkers.walk import walk

SIZES = {"vocab_size": 20, "pad_token_id": 0}
PLAIN = {
    **SIZES,
    "hidden_size": 24,
    "intermediate_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
GROUPED = {**PLAIN, "num_key_value_heads": 2}
T5 = {**SIZES, "d_model": 24, "d_kv": 6, "d_ff": 36, "num_layers": 2, "num_heads": 4}
CLIP = {**PLAIN, "max_position_embeddings": 8, "bos_token_id": 2, "eos_token_id": 3, "projection_dim": 10}

# Class of the model, of its config, settings, and elements of each attention: none, a head each, or a group.
ENCODERS: dict[str, tuple[str, str, dict[str, Any], list[int]]] = {
    "clip": ("CLIPTextModelWithProjection", "CLIPTextConfig", CLIP, [4, 4]),
    "bert": ("BertModel", "BertConfig", {**PLAIN, "max_position_embeddings": 8}, [4, 4]),
    "t5": ("T5EncoderModel", "T5Config", {**T5, "feed_forward_proj": "gated-gelu"}, []),
    "umt5": ("UMT5EncoderModel", "UMT5Config", {**T5, "feed_forward_proj": "gated-gelu"}, []),
    "llama": ("LlamaModel", "LlamaConfig", GROUPED, [2, 2]),
    "gemma": ("GemmaModel", "GemmaConfig", {**PLAIN, "num_key_value_heads": 1, "head_dim": 6}, [4, 4]),
    "gemma2": ("Gemma2Model", "Gemma2Config", {**GROUPED, "head_dim": 6}, [2, 2]),
    "qwen2": ("Qwen2Model", "Qwen2Config", GROUPED, [2, 2]),
    "qwen3": ("Qwen3Model", "Qwen3Config", {**GROUPED, "head_dim": 6}, [2, 2]),
}


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    kind, config, settings, _ = ENCODERS[request.param]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        root = getattr(transformers, kind)(getattr(transformers, config)(**settings))
        drawn(root)
    return request.param, root.eval().requires_grad_(False)


@torch.no_grad()
def test_gate_equals_slim(encoder: tuple[str, nn.Module]) -> None:
    name, root = encoder
    mask = torch.arange(7) < torch.tensor([[7], [5]])  # padding: its keys are repeated for their queries
    inputs = {"input_ids": torch.arange(14).reshape(2, 7) + 4, "attention_mask": mask.long()}
    asked = ("head", "neuron", "operator", "block")
    for granularity in asked:
        units = walk("text_encoder", root, [granularity], lambda: inputs)
        if granularity == "head":
            assert [unit.elements for unit in units] == ENCODERS[name][3]
        assert bool(units) == (granularity != "head" or not name.endswith("t5"))
        for share in (0.5, 1.0):
            draws = generator(0, 0, granularity)
            plan = {unit.name: torch.rand(unit.elements, generator=draws) >= share for unit in units}
            for unit in units:
                plan[unit.name][0] |= bool(unit.runs)
            with gated({"text_encoder": root}, units, gates_of(plan)):
                simulated: Tensor = root(**inputs)[0]
            performed = slim(root, units, plan)(**inputs)[0]
            assert (simulated - performed).abs().max() <= 2e-5 * max(1, float(simulated.abs().max()))


@torch.no_grad()
def test_positions_that_all_layers_share_keep_their_heads(encoder: tuple[str, nn.Module]) -> None:
    """T5's first layer makes the positions of all: it stays, and so do the heads that they are for."""
    name, root = encoder
    inputs: Callable[[], dict[str, Tensor]] = lambda: {"input_ids": torch.arange(14).reshape(2, 7) + 4}  # noqa: E731
    units = walk("text_encoder", root, ["head", "block"], inputs)
    left = missed({"text_encoder": root}, ["text_encoder"], ["head", "block"], units)
    told = {(each.granularity, kind.kind, kind.count) for each in left for kind in each.missed}
    expected = {
        "t5": {("head", "T5Attention", 2), ("block", "T5Block", 1)},
        "umt5": {("head", "UMT5Attention", 2)},
    }
    assert told == expected.get(name, set())
