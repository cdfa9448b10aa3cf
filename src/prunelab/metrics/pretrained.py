"""Networks of others, opened with transformers from a local folder or the hub."""

from typing import Any

import torch
from torch import nn

from prunelab.core.errors import Refusal

BATCH = 64  # media seen at once, which bounds the memory


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


def preparation(kind: Any, path: str) -> Any:
    """The tokenizer or whatever else prepares a network's input, from the same folder."""
    return _opened(kind, path)


def _opened(kind: Any, path: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(path, **options)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Refusal(
            f"no {kind.__name__} in {path} ({reason}): path=FOLDER of one that transformers saved, or "
            "its name on the hub where there is a network"
        ) from error
