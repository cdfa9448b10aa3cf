"""Structures of version 1, which left to the class of a module what it returns, and where its bias lies."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from torch import nn

from prunelab.surgery.pruned_structure import VERSION

RETURNS = {"Transformer2DModel": 1, "CLIPAttention": 2}
PROJECTIONS = ("to_out.0", "to_add_out", "out_proj")


def renewed_config(folder: Path, kind: Any) -> dict[str, Any]:
    """What ``kind.from_pretrained`` has to be given for ``folder``: nothing, unless its structure is old."""
    structure = json.loads((folder / "config.json").read_text("utf-8")).get("structure")
    if not isinstance(structure, Mapping) or structure.get("version") != 1:
        return {}
    if issubclass(kind, ModelMixin):
        with torch.device("meta"):
            dense = kind.from_config(kind.load_config(folder, local_files_only=True), structure=None)
        return {"structure": renewed(structure, dense)}
    config = kind.config_class.from_pretrained(folder, local_files_only=True, structure=None)
    with torch.device("meta"):
        config.structure = renewed(structure, kind(config))
    return {"config": config}


def renewed(structure: Any, dense: nn.Module) -> dict[str, Any]:
    """A structure of version 1 of the ``dense`` model in today's words; what was wrong in it stays so."""
    known = dict(dense.named_modules())
    step = {path: _entry(known.get(path), entry) for path, entry in structure["modules"].items()}
    return {"version": VERSION, "base": structure["base"], "steps": [step]}


def _entry(module: nn.Module | None, entry: Any) -> Any:
    if module is None or not isinstance(entry, Mapping):
        return entry
    said: dict[str, Any] = {}
    if entry.get("becomes") in ("input", "nothing", "bias") and type(module).__name__ in RETURNS:
        said["returns"] = RETURNS[type(module).__name__]
    if entry.get("becomes") in ("nothing", "bias"):
        linears = [each for each in module.modules() if isinstance(each, nn.Linear)]
        made = _made(module)
        if made is not None and made != linears[0].in_features:
            said["width"] = made
    return _bias(module, {**entry, **said}) if entry.get("becomes") == "bias" else {**entry, **said}


def _made(module: nn.Module) -> int | None:
    """How many channels an attention or a feed-forward returns, None where that is not known."""
    known = dict(module.named_modules())
    for path in ("to_out.0", "out_proj", "net.2", "fc2"):
        if isinstance(made := known.get(path), nn.Linear):
            return made.out_features
    return None


def _bias(module: nn.Module, entry: dict[str, Any]) -> dict[str, Any]:
    biases = [path for path in PROJECTIONS if path in dict(module.named_modules())]
    if not biases:  # an attention that returns its heads
        return {"becomes": "nothing", "width": 0}
    entry["biases"] = biases
    if len(biases) > 1:
        entry |= {"returns": 2, "streams": ["hidden_states", "encoder_hidden_states"]}
    if getattr(module, "residual_connection", False):
        entry["residual"] = True
    if entry.pop("rescaled", False) is True:
        entry["rescale"] = float(getattr(module, "rescale_output_factor", 1))
    return entry
