"""Open diffusers folders, pruned or not, without running any code they carry."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline, ModelMixin
from transformers import PreTrainedModel

from prunelab.core import contents
from prunelab.core.errors import Refusal
from prunelab.surgery import portable
from prunelab.surgery.components import open_component, reading
from prunelab.surgery.portable import MODULE, PRUNED


def open_pipeline(
    path: str | Path, dtype: torch.dtype = torch.float32, **components: Any
) -> DiffusionPipeline:
    """The pipeline saved in ``path``, in ``dtype``, its pruned components rebuilt.

    ``components`` replace those of the folder. Raises Refusal, in one line, when the folder is missing
    or broken, when a component's weights are not exactly those of its model, or when what it says of a
    pruned one cannot be meant.
    """
    folder = contents.pipeline(path)
    kinds = {name: kind for name, kind in model_classes(folder).items() if name not in components}
    opened = {name: open_component(folder / name, kind, dtype) for name, kind in kinds.items()}
    # The folder names the module its pruned classes live in; ours stands in for the one it carries.
    sys.modules.setdefault(MODULE, portable)
    with reading(folder):
        given = {**opened, **components}
        # By its own class: DiffusionPipeline does not know which parts are optional, and opens them twice.
        return _pipeline_class(folder).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype, **given
        )


def _pipeline_class(folder: Path) -> type[DiffusionPipeline]:
    kind = stock_class("diffusers", str(mapping(folder / "model_index.json").get("_class_name")))
    known = isinstance(kind, type) and issubclass(kind, DiffusionPipeline)
    return kind if known else DiffusionPipeline


def model_classes(folder: Path) -> dict[str, Any]:
    """Component -> the class that opens it, for those that have weights."""
    index = mapping(folder / "model_index.json")
    found = {}
    for name, entry in index.items():
        plain = Path(name).name == name  # a part of this folder
        if plain and isinstance(entry, list) and (folder / name / "config.json").is_file():
            library, class_name = [*entry, None, None][:2]
            kind = _class(folder / name, library, class_name)
            if isinstance(kind, type) and issubclass(kind, ModelMixin | PreTrainedModel):
                found[name] = kind
    return found


def _class(folder: Path, library: object, class_name: object) -> Any:
    """The class of the component in ``folder``; None where it is not one of the libraries' models."""
    config = mapping(folder / "config.json")
    if not isinstance(library, str) or not isinstance(class_name, str):
        return None
    if "structure" in config:
        return _pruned_class(folder, config["structure"], class_name)
    if library == MODULE:
        raise Refusal(f"{folder} is called pruned, but its config.json has no structure: save it again")
    return stock_class(library, class_name)


def stock_class(library: str, class_name: str) -> Any:
    """What model_index.json means by a library and a class's name; None where neither library has it."""
    inside = {"diffusers": diffusers, "transformers": transformers}.get(library)
    return getattr(inside or getattr(diffusers.pipelines, library, None), class_name, None)


def _pruned_class(folder: Path, structure: object, class_name: str) -> Any:
    base = structure.get("base") if isinstance(structure, Mapping) else None
    if class_name not in (base, f"{PRUNED}{base}"):
        raise Refusal(
            f"{folder}: model_index.json says {class_name!r}, the structure in config.json is of {base!r}: "
            "these two have to agree"
        )
    kind = getattr(portable, f"{PRUNED}{base}", None)
    if kind is None:
        raise Refusal(f"{folder} is pruned from {base!r}, which diffusers and transformers do not have")
    return kind


def mapping(file: Path) -> dict[str, Any]:
    """What a file of JSON holds; Refusal where that is no mapping."""
    with reading(file):
        content = json.loads(file.read_text("utf-8"))
    if not isinstance(content, dict):
        raise Refusal(f"{file} holds no mapping: it is not what diffusers writes")
    return content
