"""What elements and components cost in the currency of a budget."""

from collections.abc import Sequence
from functools import cached_property

from prunelab.core.protocols import Model
from prunelab.core.units import Unit
from prunelab.costs.macs import Macs, macs


class CostLedger:
    """Costs of one model in ``of``: elements, parameters or macs (with attention).

    A unit's multiply-accumulates are its host module's, less what survives, shared equally by its
    elements: exact for heads, neurons and whole modules. ``total`` is the whole component's, or the
    number of chosen elements in it where elements are counted.
    """

    def __init__(self, of: str, model: Model, units: Sequence[Unit]) -> None:
        self.of, self.model, self.units = of, model, units

    def cost(self, unit: Unit) -> float:
        """The cost of one element of ``unit``."""
        if self.of == "elements":
            return 1.0
        if self.of == "parameters":
            return float(unit.parameters_per_element(self.model.components[unit.component]))
        inside = self._macs[unit.component].by_module
        return (inside[unit.host] - sum(inside.get(path, 0) for path in unit.spared)) / unit.elements

    def total(self, component: str) -> float:
        """The cost of the component."""
        if self.of == "elements":
            return float(sum(unit.elements for unit in self.units if unit.component == component))
        if self.of == "parameters":
            return float(sum(p.numel() for p in self.model.components[component].parameters()))
        return float(self._macs[component].total)

    @cached_property
    def _macs(self) -> dict[str, Macs]:
        names = {unit.component for unit in self.units}
        components = self.model.components
        return {name: macs(components[name], self.model.example_inputs(name, 1)) for name in names}
