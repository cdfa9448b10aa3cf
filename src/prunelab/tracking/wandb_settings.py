"""W&B's own settings: those of its environment variables and files that it can read, or one line."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from prunelab.core.errors import Refusal

if TYPE_CHECKING:
    from pydantic import ValidationError
    from wandb import Settings

SHORTEST_SECRET = 8
LOGIN = re.compile(r"//[^/@\s]*@")  # user and password in an address


def read_settings() -> Settings:
    """The settings of this process. Raises Refusal when wandb is not installed or cannot read them."""
    try:
        import wandb
        from pydantic import ValidationError
        from wandb.sdk import wandb_setup
    except ImportError as error:
        raise Refusal("logger=wandb needs wandb: pip install wandb, or use logger=none") from error
    try:
        return wandb_setup.singleton().settings
    except ValidationError as error:
        raise _refusal(*_first(error)) from None
    except (wandb.Error, ValueError, OSError) as error:
        raise _refusal("its settings", str(error)) from None


def _first(error: ValidationError) -> tuple[str, str]:
    """The variable that holds the first wrong value (or what W&B calls the setting), and what is wrong."""
    wrong = error.errors(include_url=False)[0]
    named = [
        name for name, value in os.environ.items() if name.startswith("WANDB_") and value == wrong["input"]
    ]
    return named[0] if named else f"its setting {wrong['loc'][0]}", wrong["msg"]


def _refusal(name: str, reason: str) -> Refusal:
    """One line without the values: they may be keys."""
    for value in (value for key, value in os.environ.items() if key.startswith("WANDB_")):
        if len(value) >= SHORTEST_SECRET:
            reason = reason.replace(value, "...")
    reason = LOGIN.sub("//", " ".join(reason.split()))
    return Refusal(f"W&B cannot read {name}: {reason}; correct or unset it, or use logger=none")
