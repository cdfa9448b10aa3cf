"""Where models come from: a folder, the package, or a published architecture without weights."""

import functools
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from diffusers import LDMPipeline as Squares

from prunelab.core.errors import Refusal
from prunelab.models.folders import content_hash, locate
from prunelab.models.latent_pipeline import LDMPipeline
from prunelab.surgery.opening import model_classes, open_pipeline
from prunelab.surgery.portable import PRUNED
from prunelab.surgery.skeletons import skeleton

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
ARCHITECTURES = Path(__file__).parents[1] / "architectures"


def opened(
    name: str,
    path: str | None,
    weights: str,
    embedded: str | None,
    architecture: str | None,
    shapes: bool,
    precision: str = "fp32",
) -> tuple[DiffusionPipeline, Callable[[], str]]:
    """The pipeline, and what reads its fingerprint; see PipelineModel.open."""
    if weights not in ("pretrained", "random"):
        raise Refusal(f"unknown weights {weights!r}: choose from pretrained, random")
    bare = path is None and embedded is None and architecture is not None
    if bare and weights != "random" and not shapes:
        raise Refusal(
            f"{name} comes without weights: give path=FOLDER of its diffusers pipeline, or weights=random "
            "for its architecture alone"
        )
    folder = published(str(architecture)) if bare else locate(path, embedded)
    pipeline = _built(folder, weights, shapes and (bare or path is not None), DTYPES[precision])
    if type(pipeline) is Squares:
        pipeline = LDMPipeline(**pipeline.components)
    return pipeline, functools.cache(lambda: content_hash(folder, "random" if bare else weights))


def published(architecture: str) -> Path:
    """The configurations of a published architecture; refuses an unknown one."""
    folder = ARCHITECTURES / architecture
    if not (folder / "model_index.json").is_file():
        known = sorted(each.parent.name for each in ARCHITECTURES.glob("*/model_index.json"))
        raise Refusal(f"no architecture {architecture!r}: choose from {', '.join(known)}")
    return folder


def _built(folder: Path, weights: str, shapes: bool, dtype: torch.dtype) -> DiffusionPipeline:
    """With the folder's weights, with random ones, or with none; a pruned one always with its own."""
    pruned = [name for name, kind in model_classes(folder).items() if kind.__name__.startswith(PRUNED)]
    if pruned and weights == "random":  # how its layers start is not said there
        raise Refusal(f"{folder / pruned[0]} is pruned: weights=random needs the folder of a dense model")
    if weights == "random" or (shapes and not pruned):
        return skeleton(folder, "meta" if shapes else "cpu").to(dtype)
    return open_pipeline(folder, dtype)
