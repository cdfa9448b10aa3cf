"""The licence of the model that a job was given, as far as its folder says it."""

import re
from pathlib import Path

from omegaconf import DictConfig

from prunelab.models.folders import CARD
from prunelab.report.card import Licence

OURS = Licence("apache-2.0", "The base model comes with prunelab, under prunelab's licence: Apache 2.0.")
UNKNOWN = Licence(
    "other", "The folder of the base model names no licence; whatever binds the base model binds this one."
)
STATED = re.compile(r"^license:\s*([\w.+-]+)\s*$", re.MULTILINE)
LARGEST = 2**20  # bytes of a card that is looked at


def licence(config: DictConfig) -> Licence:
    """What the card in the base model's folder states, or the name of a licence file in it."""
    chosen = config.model.open
    if not chosen.get("path"):
        return OURS if chosen.get("embedded") else UNKNOWN
    folder = Path(str(chosen.path)).expanduser()
    stated = STATED.search(_head(folder / CARD))
    if stated is not None:
        name = stated[1]
        return Licence(name, f"The card of the base model states {name}, which binds this model, too.")
    files = sorted(file.name for file in folder.glob("LICEN[SC]E*"))
    if files:
        return Licence("other", f"The base model's folder holds {files[0]}, which binds this model, too.")
    return UNKNOWN


def _head(card: Path) -> str:
    """What stands between the first two lines of dashes of a card; nothing where there is no such card."""
    if not card.is_file() or card.stat().st_size > LARGEST:
        return ""
    _, dashes, rest = card.read_text("utf-8", errors="replace").partition("---\n")
    head, end, _ = rest.partition("\n---")
    return head if dashes and end else ""
