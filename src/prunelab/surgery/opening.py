"""Open diffusers folders, pruned or not, without running any code they carry."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors import SafetensorError
from torch import nn

from prunelab.core.errors import Refusal
from prunelab.surgery import portable
from prunelab.surgery.portable import MODULE, VERSION


def open_pipeline(path: str | Path, **components: Any) -> DiffusionPipeline:
    """The pipeline saved in ``path``, in float32, its pruned components rebuilt.

    ``components`` replace those of the folder. Raises Refusal, in one line, when the folder is missing
    or broken or its structure has an unknown version.
    """
    folder = Path(path).expanduser()
    if not (folder / "model_index.json").is_file():
        raise Refusal(
            f"no diffusers model at {path}: a folder with a model_index.json is needed (path=FOLDER)"
        )
    try:
        rebuilt = {name: _rebuild(folder / name) for name in _pruned(folder) if name not in components}
        # The folder names the module its pruned classes live in; ours stands in for the one it carries.
        sys.modules.setdefault(MODULE, portable)
        given = {**rebuilt, **components}
        return DiffusionPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32, **given)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if isinstance(error, Refusal):
            raise
        reason = " ".join(str(error).split())[:300]
        raise Refusal(f"the model folder {path} is broken or incomplete: {reason}") from error


def _pruned(folder: Path) -> list[str]:
    """Names of the components whose config carries a structure."""
    configs = sorted(folder.glob("*/config.json"))
    return [config.parent.name for config in configs if "structure" in json.loads(config.read_text("utf-8"))]


def _rebuild(folder: Path) -> nn.Module:
    structure = json.loads((folder / "config.json").read_text("utf-8"))["structure"]
    if structure.get("version") != VERSION:
        raise Refusal(
            f"{folder} has structure version {structure.get('version')!r}, this prunelab reads {VERSION}: "
            "open it with the version of prunelab that wrote it"
        )
    kind = getattr(portable, f"Pruned{structure['base']}")
    return kind.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
