"""The units of a whole model: what the walkers find in each of its components."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from torch import nn

from prunelab.core.errors import Refusal
from prunelab.core.units import Unit
from prunelab.walkers.reshaping_operators import shape_changing
from prunelab.walkers.walk import walk


class Holder(Protocol):
    """What a model says of its components."""

    @property
    def name(self) -> str:
        """What messages call the model."""
        ...

    @property
    def components(self) -> Mapping[str, nn.Module]:
        """The components by name."""
        ...

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Keyword arguments of one forward pass of ``component``."""
        ...


def units_of(
    model: Holder, granularity: Sequence[str], components: Sequence[str], bypasses: bool
) -> list[Unit]:
    """Units of the named components; ``bypasses`` adds the operators that need one to be removed.

    Raises Refusal for a component that the model does not have and for an unknown granularity.
    """
    unknown = [name for name in components if name not in model.components]
    if unknown:
        raise Refusal(f"unknown component {unknown[0]!r}: {model.name} has {', '.join(model.components)}")
    units: list[Unit] = []
    for name in components:
        root = model.components[name]
        units += walk(name, root, granularity, partial(model.example_inputs, name, 1))
        if bypasses and "operator" in granularity:
            units += shape_changing(name, root)
    return units
