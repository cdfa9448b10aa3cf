"""Networks of others, opened with transformers from a local folder or the hub."""

import json
from typing import Any

import torch
from torch import nn

from prunelab.core.errors import Refusal

BATCH = 64  # media seen at once, which bounds the memory
PASSING = frozenset(("transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype"))


def network(kind: Any, path: str, device: str) -> Any:
    """The network of a transformers class, float32, in eval mode; refuses a folder of another class."""
    made, found = _opened(kind, path, dtype=torch.float32, use_safetensors=True, output_loading_info=True)
    missing = sorted(found["missing_keys"])
    if missing:
        raise Refusal(
            f"{path} has no weights for {missing[0]} of {kind.__name__}: it is a model of another kind"
        )
    assert isinstance(made, nn.Module)
    return made.eval().requires_grad_(False).to(device)


def preparation(kind: Any, path: str, **options: Any) -> Any:
    """The tokenizer or whatever else prepares a network's input, from the same folder."""
    return _opened(kind, path, **options)


def configuration(network: Any) -> str:
    """How a network computes, apart from its weights, as JSON; neither its place nor any version counts."""
    return json.dumps(_lasting(network.config.to_dict()), sort_keys=True, default=str)


def vocabulary(tokenizer: Any) -> str:
    """How a tokenizer that has not been used yet makes numbers of texts, as JSON."""
    inner = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.dumps(tokenizer.get_vocab(), sort_keys=True) if inner is None else inner.to_str()
    ends = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return json.dumps([rules, ends, tokenizer.padding_side], sort_keys=True)


def _lasting(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _lasting(each) for name, each in value.items() if name not in PASSING}


def _opened(kind: Any, path: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(path, **options)
    except Exception as error:  # another package's loader: a wrong file raises what it likes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise Refusal(
            f"no {kind.__name__} in {path} ({reason}): path=FOLDER of one that transformers saved, or "
            "its name on the hub where there is a network"
        ) from error
