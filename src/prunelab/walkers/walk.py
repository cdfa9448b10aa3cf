"""Every granularity and who finds its units in a component.

Units are found by what a module *holds*, not by its class or by the model it sits in, so that a new model
needs no new walker. Each walker is a generator over one component; ``WALKERS`` maps a granularity to it.
``TRACERS`` are those that follow the wiring through a forward pass of example inputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from prunelab.core.errors import Refusal
from prunelab.core.units import Unit
from prunelab.walkers.acceptance import accepted
from prunelab.walkers.blocks import blocks
from prunelab.walkers.calls import Calls
from prunelab.walkers.channels import channels, free_channels, norm_groups
from prunelab.walkers.heads import heads
from prunelab.walkers.modulations import modulations
from prunelab.walkers.neurons import neurons
from prunelab.walkers.operators import operators
from prunelab.walkers.proof import proven
from prunelab.walkers.weights import conv_weights, weights

Walker = Callable[[str, nn.Module, Calls], Iterator[Unit]]
Tracer = Callable[[str, nn.Module, Mapping[str, Any]], Iterator[Unit]]

WALKERS: dict[str, Walker] = {
    "operator": operators,
    "block": blocks,
    "head": heads,
    "neuron": neurons,
    "modulation": modulations,
    "weight": weights,
    "conv_weight": conv_weights,
}
TRACERS: dict[str, Tracer] = {
    "channel": channels,
    "free_channel": free_channels,
    "norm_group": norm_groups,
}
# What is tried before it is offered.
CHECKS: dict[str, Callable[[Sequence[Unit], Calls], list[Unit]]] = {
    "head": proven,
    "neuron": proven,
    "operator": accepted,
    "block": accepted,
}


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
    known = (*WALKERS, *TRACERS)
    unknown = [name for name in granularities if name not in known]
    if unknown:
        raise Refusal(f"unknown granularity {unknown[0]!r}: choose from {', '.join(known)}")
    units: list[Unit] = []
    calls = Calls(root, inputs)
    for name in granularities:
        traced = name in TRACERS
        found = TRACERS[name](component, root, inputs()) if traced else WALKERS[name](component, root, calls)
        left = [unit for unit in found if unit.elements]  # a layer may have lost all it had
        units += CHECKS[name](left, calls) if name in CHECKS else left
    return units
