"""Modulations: one unit per adaptive norm; an element is one shift, scale or gate of one channel.

What is removed is zero from then on: a shift of nothing, a scale of one, a branch closed.
"""

import re
from collections.abc import Iterator

from torch import nn

from prunelab.core.units import Gate, Slice, Unit
from prunelab.walkers.calls import Calls
from prunelab.walkers.granularity import Granularity

# Classes of norms that a condition changes, and names of what changes them.
ADAPTIVE = re.compile(r"Ada(LN|Layer|Norm|Group|RMS|Scale)|Modulat|Norm(Zero|Continuous|Single|Shift)")
NAMES = re.compile(r"(^|_)(mod|modulation|adaln|modulate)($|_)|^ada_?ln", re.IGNORECASE)


def modulations(component: str, root: nn.Module, calls: Calls) -> Iterator[Unit]:
    """The Linear layers that make several numbers for each channel out of a condition."""
    for path in modulating(root):
        layer = root.get_submodule(path)
        yield Unit(
            component=component,
            path=path,
            granularity="modulation",
            elements=len(layer.get_parameter("weight")),
            slices=tuple(Slice(f"{path}.{name}") for name, _ in layer.named_parameters()),
            gate=Gate(path, "entries"),
            host=path,
        )


def modulating(root: nn.Module) -> Iterator[str]:
    """Their paths: a Linear of what is adaptive by its class, or a modulation by its name."""
    for path, module in root.named_modules():
        layers = [key for key, child in module.named_children() if isinstance(child, nn.Linear)]
        by_name = isinstance(module, nn.Sequential) and NAMES.search(path.rpartition(".")[2])
        if ADAPTIVE.search(type(module).__name__) or by_name:
            leading = [key for key in layers if key in ("linear", "linear_1")] or layers[-1:]
            yield from (f"{path}.{key}" for key in leading[:1])
        yield from (f"{path}.{key}" for key in layers if key == "time_proj" and _several(module, key))


def _several(module: nn.Module, key: str) -> bool:
    """Whether a Linear makes several numbers for each channel that it reads."""
    rows, columns = module.get_submodule(key).get_parameter("weight").shape
    return rows > columns > 0 and rows % columns == 0


MODULATION = Granularity("modulation", modulations)
