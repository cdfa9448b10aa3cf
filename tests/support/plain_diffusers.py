"""Plain diffusers: an environment that has it and not prunelab, and what a pruned pipeline gives there."""

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from families import Small
from safetensors.torch import load_file, save_file
from torch import Tensor

SCRIPT = Path(__file__).parents[1] / "surgery" / "elsewhere.py"


def environment(place: Path) -> Path:
    """A virtual environment with a link to every installed package but prunelab; its Python."""
    venv.create(place, symlinks=True, with_pip=False)
    first = Path(sysconfig.get_path("purelib"))
    second = next(place.glob("lib/python*/site-packages"))
    for package in first.iterdir():
        if "prunelab" not in package.name:
            (second / package.name).symlink_to(package)
    return place / "bin" / "python"


def call(small: Small) -> dict[str, Any]:
    """The arguments of its own call, but for the generator."""
    given = {key: value for key, value in small.arguments().items() if key != "generator"}
    return {**given, "return_dict": False}


def drawn_here(model: Any, small: Small, folder: Path) -> Tensor:
    """What the pipeline in ``folder`` makes with the pruned components of ``model``.

    What was not pruned lies as plain diffusers reads it, which decides its last bits.
    """
    plain = DiffusionPipeline.from_pretrained(folder)
    for component in model.pruned():
        setattr(plain, model.attributes[component], model.components[component])
    plain.set_progress_bar_config(disable=True)
    return torch.as_tensor(plain(generator=torch.Generator().manual_seed(0), **call(small))[0])


def drawn_there(
    place: Path, families: dict[str, Any], used: dict[str, Any], owned: bool = False
) -> tuple[dict[str, Tensor], Any]:
    """What elsewhere.py made and found of the pruned folders ``families`` (folder and call by name).

    used: of those that are used in more ways, the denoiser's attribute and the dense model's folder.
    owned: whether weights are to lie in memory of their own, as those that prunelab opens do.
    """
    tensors: dict[str, Tensor] = {}

    def named(tensor: Tensor) -> dict[str, str]:
        name = str(len(tensors))
        tensors[name] = tensor.clone()
        return {"tensor": name}

    (place / "asked.json").write_text(
        json.dumps({"families": families, "used": used, "owned": owned}, default=named)
    )
    save_file(tensors, place / "given.safetensors")
    python = environment(place / "environment")
    cache = {"HF_HOME": str(place / "hub"), "HF_MODULES_CACHE": str(place / "modules")}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    subprocess.run(
        [str(python), "-P", str(SCRIPT), str(place)], check=True, cwd=place, env={**clean, **cache}
    )
    return load_file(place / "made.safetensors"), json.loads((place / "found.json").read_text())
