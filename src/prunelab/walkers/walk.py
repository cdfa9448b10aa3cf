"""The units of a component, of any granularity that is known.

Units are found by what a module *holds*, not by its class or by the model it sits in, so that a new model
needs no new walker.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from prunelab.core.errors import Refusal
from prunelab.core.units import Unit
from prunelab.walkers.blocks import BLOCK
from prunelab.walkers.calls import Calls
from prunelab.walkers.channels import CHANNEL, FREE_CHANNEL, NORM_GROUP
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.heads import HEAD
from prunelab.walkers.modulations import MODULATION
from prunelab.walkers.neurons import NEURON
from prunelab.walkers.operators import OPERATOR
from prunelab.walkers.weights import CONV_WEIGHT, WEIGHT

OURS = (
    *(OPERATOR, BLOCK, HEAD, NEURON, MODULATION, WEIGHT, CONV_WEIGHT),
    *(CHANNEL, FREE_CHANNEL, NORM_GROUP),
)
_KNOWN = {each.name: each for each in OURS}


def add(granularity: Granularity) -> None:
    """From here on its name stands for it; refuses a name that is one of prunelab's."""
    if granularity not in OURS and granularity.name in {each.name for each in OURS}:
        raise Refusal(f"prunelab has a granularity called {granularity.name!r}: give yours another name")
    _KNOWN[granularity.name] = granularity


def known(name: str) -> Granularity:
    """The granularity of this name; refuses one that nobody walks for."""
    if name not in _KNOWN:
        raise Refusal(f"unknown granularity {name!r}: choose from {', '.join(_KNOWN)}")
    return _KNOWN[name]


def walk(
    component: str,
    root: nn.Module,
    granularities: Sequence[str],
    inputs: Callable[[], Mapping[str, Any]] = dict,
) -> list[Unit]:
    """All units of these granularities in one component; refuses a granularity nobody walks for.

    inputs: makes the keyword arguments of one forward pass; called where wiring is traced, and where a
    module's call has to be seen. Where it makes none, only what is known without a call is found.
    """
    chosen, calls = [known(name) for name in granularities], Calls(root, inputs)
    return [unit for each in chosen for unit in each.units(component, root, calls)]
