"""Write a pruned pipeline as a diffusers folder that plain diffusers can open.

Each pruned component has its structure in ``config.json`` and the code that rebuilds it beside; open
the folder with :func:`prunelab.load_pruned`, or without prunelab by
``DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)``. ``zeros.json`` names the parameters
that lost single weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline

from prunelab.surgery.carried import ZEROS, Structure, structure_of, zeroed_in
from prunelab.surgery.portable import MODULE, PRUNED, carry_code


def save_pipeline(pipeline: DiffusionPipeline, folder: Path) -> None:
    """Save ``pipeline`` under ``folder`` with what its components carry.

    A component whose structure was never changed is saved as the stock class it is.
    """
    pipeline.save_pretrained(folder, safe_serialization=True)
    _forget_origin(folder)
    index = _read(folder / "model_index.json")
    for name, component in pipeline.components.items():
        structure, zeroed = structure_of(component), zeroed_in(component)
        if structure:
            index[name] = [MODULE, _describe(folder / name, structure)]
        if zeroed:
            _write(folder / name / ZEROS, {"parameters": zeroed})
    _write(folder / "model_index.json", index)


def _forget_origin(folder: Path) -> None:
    """Drop where a component was once opened from: equal models are equal files, and name no machine."""
    for path in (folder / "model_index.json", *folder.glob("*/config.json")):
        config = _read(path)
        if config.pop("_name_or_path", None) is not None:
            _write(path, config)


def _describe(folder: Path, structure: Structure) -> str:
    """Put the structure and the rebuilding code beside a component's weights; returns its class name."""
    class_name = f"{PRUNED}{structure['base']}"
    config = _read(folder / "config.json")
    config["structure"] = structure
    if "_class_name" in config:
        config["_class_name"] = class_name
    if "architectures" in config:  # so transformers' configs name it
        config["architectures"] = [class_name]
    config["auto_map"] = {"AutoModel": f"{MODULE}.{class_name}"}
    _write(folder / "config.json", config)
    carry_code(folder)
    return class_name


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
