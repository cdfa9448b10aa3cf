"""prunelab: the bench on which diffusion-model pruning is done and compared."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import DiffusionPipeline

__version__ = "0.1.0"


def load_pruned(path: "str | Path") -> "DiffusionPipeline":
    """Open a pruned model's folder as a working diffusers pipeline.

    The images are bit-identical to those before saving. No code from the folder is run. Raises
    :class:`prunelab.core.errors.Refusal` when the folder is missing, broken or of an unknown version.
    """
    from prunelab.surgery.opening import open_pipeline

    return open_pipeline(path)
