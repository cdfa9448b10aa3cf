"""What a pruned component carries: its structure, and which of its matrices lost single weights."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from diffusers import ModelMixin
from torch import nn
from transformers import PreTrainedModel

from prunelab.surgery import portable
from prunelab.surgery.pruned_structure import VERSION

Structure = Mapping[str, Any]
ZEROED = "zeroed"  # the attribute that holds parameters' names
ZEROS = "zeros.json"  # the file of a component's folder that does


def structure_of(component: nn.Module) -> Structure | None:
    """How the component was pruned, see :mod:`prunelab.surgery.portable`; None while it is dense in shape."""
    structure: Structure | None = getattr(getattr(component, "config", None), "structure", None)
    return structure


def zeroed_in(component: nn.Module) -> tuple[str, ...]:
    """The parameters that lost single weights: what is zero there is meant to stay so."""
    return tuple(getattr(component, ZEROED, ()))


def carry(small: nn.Module, before: nn.Module, step: Mapping[str, Any], zeroed: Iterable[str]) -> nn.Module:
    """``small``, which ``step`` made of ``before``, as a model that knows how it was pruned.

    It becomes what opening its folder gives: the pruned class of its library's model, with the structure in
    its config. Modules of no library (a part of a model) have no config and carry no structure.
    """
    left = dict(small.named_parameters())
    note_zeros(small, [name for name in (*zeroed_in(before), *zeroed) if name in left])
    if step and isinstance(small, ModelMixin | PreTrainedModel):
        past = structure_of(before)
        base = past["base"] if past else type(before).__name__
        steps = [*(past["steps"] if past else ()), dict(step)]
        small.__class__ = getattr(portable, f"{portable.PRUNED}{base}")
        portable.note(small, {"version": VERSION, "base": base, "steps": steps})
    return small


def note_zeros(component: nn.Module, names: Iterable[str]) -> None:
    """Let ``component`` carry which parameters lost single weights; AttributeError for any other name."""
    found = sorted(set(names))
    for name in found:
        component.get_parameter(name)
    setattr(component, ZEROED, tuple(found))


def zeroed_of(folder: Path) -> tuple[str, ...]:
    """What :func:`zeroed_in` gives of the component that is saved in ``folder``."""
    file = folder / ZEROS
    return tuple(map(str, json.loads(file.read_text("utf-8"))["parameters"])) if file.is_file() else ()
