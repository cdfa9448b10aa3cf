"""Tokenizers made in memory, and text encoders a few numbers wide."""

from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    ClapConfig,
    ClapModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    GlmConfig,
    GlmModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLModel,
    RobertaTokenizer,
    SmolLM3Config,
    SmolLM3ForCausalLM,
    T5Config,
    T5EncoderModel,
    T5Gemma2Encoder,
    T5Gemma2EncoderConfig,
    T5GemmaConfig,
    T5GemmaEncoderModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

LENGTH = 8  # tokens of a prompt
SPECIAL = ("<pad>", "<unknown>", "<start>", "<end>")
PAD, UNKNOWN, START, END = SPECIAL
WORDS = ("a", "the", "small", "big", "red", "blue", "house", "dog", "on", "and", "plays", "sings")
VOCABULARY = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
SIZE = 32  # room for tokens that classes add themselves
NUMBERS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
# Positions of time, height and width, and tokens of pictures that no prompt has.
SECTIONS = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
SEEING = {
    "image_token_id": 28, "video_token_id": 29, "vision_start_token_id": 30, "vision_end_token_id": 31
}  # fmt: skip
# One turn after the other, as chat models are told; every word of it is unknown to the vocabulary.
CHAT = "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} {% endfor %}"


def tokenizer(start: bool = True, length: int = LENGTH, **named: Any) -> PreTrainedTokenizerFast:
    """A word is a token: between <start> and <end> as CLIP has it, or before <end> as T5 does."""
    words = Tokenizer(models.WordLevel(VOCABULARY, unk_token=UNKNOWN))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, VOCABULARY[name]) for name in (START, END)]
    words.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}" if start else f"$A {END}", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=length, pad_token=PAD, unk_token=UNKNOWN,
        bos_token=START, eos_token=END, chat_template=CHAT, **named,
    )  # fmt: skip


def roberta_tokenizer() -> RobertaTokenizer:
    """Letters, for pipelines that ask a tokenizer for its class."""
    letters = ["Ġ", *"abcdefghijklmnopqrst"]
    vocabulary = {word: n for n, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters])}
    return RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=LENGTH)


def t5_tokenizer() -> T5Tokenizer:
    """Words of a unigram model, for pipelines that ask a tokenizer for its class."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    words = [(f"▁{word}", -3.0) for word in WORDS]
    return T5Tokenizer(vocab=[*special, *words], extra_ids=0, model_max_length=LENGTH)


def clip(width: int = 16, projected: bool = False, **more: Any) -> CLIPTextModel:
    """CLIP's text model; ``projected`` adds the projection of SDXL's second one."""
    sizes = {
        "hidden_size": width, "intermediate_size": 2 * width, "projection_dim": width, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": LENGTH,
    }  # fmt: skip
    config = CLIPTextConfig(vocab_size=SIZE, **{**sizes, **NUMBERS, **more})
    return CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)


def t5(width: int = 16, **more: Any) -> T5EncoderModel:
    """T5 v1.1's encoder."""
    sizes = {"d_model": width, "d_kv": width // 2, "d_ff": 2 * width, "num_layers": 1, "num_heads": 2}
    return T5EncoderModel(T5Config(vocab_size=SIZE, feed_forward_proj="gated-gelu", **{**sizes, **more}))


def umt5(width: int = 16) -> UMT5EncoderModel:
    """Wan's multilingual T5: relative positions in every layer."""
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=SIZE, d_model=width, d_kv=width // 2, d_ff=2 * width, num_layers=1, num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    )  # fmt: skip


def decoder_sizes(width: int, layers: int = 2) -> dict[str, Any]:
    """What the configurations of decoder-only language models have in common."""
    return {
        "vocab_size": SIZE, "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": width // 2,
        "max_position_embeddings": 512, **NUMBERS,
    }  # fmt: skip


def gemma2(width: int = 16) -> Gemma2Model:
    """Sana's and Lumina's text model."""
    return Gemma2Model(Gemma2Config(**decoder_sizes(width), query_pre_attn_scalar=width // 2))


def glm(width: int = 16) -> GlmModel:
    """CogView 4's text model."""
    return GlmModel(GlmConfig(**decoder_sizes(width)))


def llama(width: int = 16, layers: int = 2) -> LlamaModel:
    """HunyuanVideo's text model."""
    return LlamaModel(LlamaConfig(**decoder_sizes(width, layers)))


def llama_with_head(width: int = 16, layers: int = 2) -> LlamaForCausalLM:
    """HiDream's fourth text model."""
    return LlamaForCausalLM(LlamaConfig(**decoder_sizes(width, layers)))


def qwen3(width: int = 16, layers: int = 2) -> Qwen3ForCausalLM:
    """The text model of Z-Image and of FLUX.2's small ones."""
    return Qwen3ForCausalLM(Qwen3Config(**decoder_sizes(width, layers)))


def qwen3_body(width: int = 16) -> Qwen3Model:
    """The text model of Ovis, ERNIE and ACE-Step."""
    return Qwen3Model(Qwen3Config(**decoder_sizes(width)))


def smollm3(width: int = 16) -> SmolLM3ForCausalLM:
    """Bria FIBO's text model."""
    return SmolLM3ForCausalLM(SmolLM3Config(**decoder_sizes(width, layers=3)))


def t5_gemma(width: int = 16) -> T5GemmaEncoderModel:
    """Stable Audio 3's text model."""
    sizes = {**decoder_sizes(width), "query_pre_attn_scalar": width // 2}
    return T5GemmaEncoderModel(T5GemmaConfig(encoder=sizes, decoder=sizes, is_encoder_decoder=False))


def t5_gemma2(width: int = 16) -> T5Gemma2Encoder:
    """Motif-Video's text model, which could see."""
    vision = {
        "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 8, "patch_size": 4,
    }  # fmt: skip
    seeing = {"mm_tokens_per_image": 4, "image_token_index": 30, "boi_token_index": 29, "eoi_token_index": 28}
    sizes = {**decoder_sizes(width), "dropout_rate": 0.0}
    return T5Gemma2Encoder(T5Gemma2EncoderConfig(text_config=sizes, vision_config=vision, **seeing))


def qwen_vl_text(width: int = 16) -> Qwen2_5_VLTextModel:
    """HunyuanVideo 1.5's text model."""
    return Qwen2_5_VLTextModel(_qwen_vl_sizes(width, layers=3))


def _qwen_vl_sizes(width: int, layers: int = 2) -> Qwen2_5_VLTextConfig:
    sizes = decoder_sizes(width, layers)
    del sizes["head_dim"]
    return Qwen2_5_VLTextConfig(**sizes, rope_parameters=SECTIONS)


def qwen3_vl(width: int = 16) -> Qwen3VLModel:
    """The text model of Krea 2 and Nucleus, which could see."""
    vision = {
        "depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 2, "out_hidden_size": width,
        "deepstack_visual_indexes": [0], "patch_size": 4, "num_position_embeddings": 16,
    }  # fmt: skip
    sizes = {**decoder_sizes(width), "rope_parameters": SECTIONS}
    return Qwen3VLModel(Qwen3VLConfig(text_config=sizes, vision_config=vision, **SEEING))


def qwen_vl(width: int = 16) -> Qwen2_5_VLForConditionalGeneration:
    """Qwen-Image's text model, which could see."""
    vision = {
        "depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 2, "out_hidden_size": width,
        "fullatt_block_indexes": [0],
    }  # fmt: skip
    text = _qwen_vl_sizes(width).to_dict()
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=text, vision_config=vision, **SEEING)
    )


def bert(width: int = 16) -> BertModel:
    """HunyuanDiT's first text model."""
    return BertModel(
        BertConfig(
            vocab_size=SIZE, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=128,
        )
    )  # fmt: skip


def gpt2(width: int = 16, new_tokens: int = 4) -> GPT2LMHeadModel:
    """AudioLDM 2's language model, which writes what its denoiser attends to."""
    config = GPT2Config(vocab_size=SIZE, n_embd=width, n_head=2, n_layer=1, n_positions=64)
    config.max_new_tokens = new_tokens
    config.bos_token_id = config.eos_token_id = 3
    return GPT2LMHeadModel(config)


def clap(width: int = 16) -> ClapModel:
    """Text and sound in one space."""
    text = {
        "vocab_size": SIZE, "hidden_size": width, "intermediate_size": width, "num_attention_heads": 2,
        "num_hidden_layers": 1, "projection_dim": width, "bos_token_id": 0, "pad_token_id": 1,
        "eos_token_id": 2,
    }  # fmt: skip
    audio = {
        "spec_size": 16, "window_size": 4, "num_mel_bins": 16, "hidden_size": width, "depths": [1],
        "num_attention_heads": [2], "num_hidden_layers": 1, "projection_dim": width, "patch_size": 4,
        "patch_stride": [4, 4], "patch_embeds_hidden_size": width,
    }  # fmt: skip
    return ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=width))
