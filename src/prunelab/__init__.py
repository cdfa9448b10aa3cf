"""prunelab: the bench on which diffusion-model pruning is done and compared."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import DiffusionPipeline

    from prunelab.api import (
        compare,
        evaluate,
        open_bench,
        open_model,
        open_task,
        plan,
        prune,
        read_report,
        recover,
        score,
    )

__version__ = "0.1.0"
__all__ = [
    "compare",
    "evaluate",
    "load_pruned",
    "open_bench",
    "open_model",
    "open_task",
    "plan",
    "prune",
    "read_report",
    "recover",
    "save_stock",
    "score",
]


def load_pruned(path: "str | Path") -> "DiffusionPipeline":
    """Open a pruned model's folder as a working diffusers pipeline.

    The images are bit-identical to those before saving. No code from the folder is run. Raises
    :class:`prunelab.core.errors.Refusal` when the folder is missing, broken or of an unknown version.
    """
    from prunelab.surgery.opening import open_pipeline

    return open_pipeline(path)


def save_stock(path: "str | Path", folder: "str | Path") -> None:
    """Save a pruned model's folder ``path`` once more as ``folder``, without any code, bit for bit the same.

    Where whole blocks went, or all widths of a kind are equal: what is left is then a configuration of its
    stock class. Raises :class:`prunelab.core.errors.Refusal` where it is not.
    """
    from prunelab.surgery.stock import save_stock as save

    save(path, folder)


def __getattr__(name: str) -> object:
    """The door for programs, imported with all that it needs when something of it is asked for."""
    if name in __all__:
        import prunelab.api

        return getattr(prunelab.api, name)
    raise AttributeError(f"module 'prunelab' has no attribute {name!r}")
