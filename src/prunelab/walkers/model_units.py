"""The units of a whole model: what the walkers find in each of its components."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from prunelab.core.errors import Refusal
from prunelab.core.units import Unit
from prunelab.walkers.reshaping_operators import shape_changing
from prunelab.walkers.walk import walk

RUN = ("denoiser", "vae")  # for every sample; of others it is asked


def units_of(
    model: str,
    parts: Mapping[str, nn.Module],
    inputs: Callable[[str, int], Mapping[str, Any]],
    granularity: Sequence[str],
    components: Sequence[str],
    bypasses: bool,
) -> list[Unit]:
    """Units of the named ``components``; ``bypasses`` adds the operators that need one to be removed.

    model: what messages call it; parts: its components by name; inputs: keyword arguments of one forward
    pass of a component, for a batch of so many. Raises Refusal for a component that the model does not have
    or does not run, and for an unknown granularity.
    """
    unknown = [name for name in components if name not in parts]
    if unknown:
        raise Refusal(f"unknown component {unknown[0]!r}: {model} has {', '.join(parts)}")
    units: list[Unit] = []
    for name in components:
        if name not in RUN:
            inputs(name, 1)
        units += walk(name, parts[name], granularity, partial(inputs, name, 1))
        if bypasses and "operator" in granularity:
            units += shape_changing(name, parts[name])
    return units
