"""Packages of optional extras, imported when something chosen needs them."""

import importlib
from typing import Any

from prunelab.core.errors import Refusal


def extra(module: str, purpose: str, name: str = "metrics") -> Any:
    """A module of the extra ``name``; refuses, for ``purpose``, one that is missing or does not fit torch."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Refusal(f"{purpose} needs {module} ({error}): pip install prunelab[{name}]") from error
    except (RuntimeError, OSError) as error:  # a torchvision made for another torch fails like this
        reason = " ".join(str(error).split())
        raise Refusal(
            f"{purpose} cannot use {module} ({reason}): pip install prunelab[{name}] with the "
            "torchvision that belongs to the torch installed"
        ) from error
