"""The state of a model: one that a run evaluates, or recovers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prunelab.core.protocols import Model


@dataclass(frozen=True)
class State:
    """A model to be evaluated: its name, itself, its address, where it is saved, what was removed.

    hours: of all processes together that its scoring and its recovery took, where that is known.
    history: the losses of its training (of the scores, or of the recovery), one mapping with ``step`` per
        logged step.
    stability: by how much two halves of its scorer's samples agree, as ``stability.json`` has it.
    """

    name: str
    model: Model
    address: str
    folder: Path
    achieved: Mapping[str, float | None]
    history: Sequence[Mapping[str, float]] = ()
    hours: Mapping[str, float | None] = field(default_factory=dict)
    stability: Mapping[str, Any] | None = None
