"""Model folders: where they lie, what their content hashes to, and their architectures without weights."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, ModelMixin

from prunelab.core.contents import files, pipeline, sha256
from prunelab.core.errors import Refusal
from prunelab.core.presets import EMBEDDED
from prunelab.surgery.components import reading
from prunelab.surgery.opening import model_classes
from prunelab.surgery.portable import PRUNED


def locate(path: str | None, embedded: str | None = None) -> Path:
    """The folder ``path``, or where none is given the ``embedded`` model of the package.

    Raises Refusal when there is no diffusers model there.
    """
    if path is None and embedded is None:
        raise Refusal("this model has no weights of its own: give path=FOLDER of a diffusers model")
    return pipeline(EMBEDDED / str(embedded) if path is None else path)


def content_hash(folder: Path, weights: str) -> str:
    """sha256 over names and contents of the folder's files; of the JSON files alone for random weights.

    Links count as what they lead to: a folder and a cache of the hub that links its files hash alike.
    """
    digest = hashlib.sha256(weights.encode())
    for file in files(folder):
        if weights == "pretrained" or file.suffix == ".json":
            digest.update(file.relative_to(folder).as_posix().encode())
            digest.update(bytes.fromhex(sha256(file)))
    return digest.hexdigest()


def open_random(folder: Path) -> DiffusionPipeline:
    """The pipeline of ``folder`` with the same architectures and weights drawn from seed 0.

    Raises Refusal for a broken folder, and for a pruned one: how its layers start is not said there.
    """
    kinds = model_classes(folder)
    pruned = [name for name, kind in kinds.items() if kind.__name__.startswith(PRUNED)]
    if pruned:
        raise Refusal(f"{folder / pruned[0]} is pruned: weights=random needs the folder of a dense model")
    with reading(folder), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = {name: _fresh(folder / name, kind) for name, kind in kinds.items()}
        return DiffusionPipeline.from_pretrained(folder, local_files_only=True, use_safetensors=True, **fresh)


def _fresh(folder: Path, kind: Any) -> Any:
    if issubclass(kind, ModelMixin):
        return kind.from_config(kind.load_config(folder, local_files_only=True))
    return kind(kind.config_class.from_pretrained(folder, local_files_only=True))
