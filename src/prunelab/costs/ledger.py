"""What elements and components cost in the currency of a budget."""

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from prunelab.core.protocols import Model
from prunelab.core.scores import Plan
from prunelab.core.units import Unit
from prunelab.costs.counts import Counts
from prunelab.costs.macs import macs

Times = Mapping[str, Mapping[str, float]]
Smaller = Callable[[str, Plan], nn.Module]


class CostLedger:
    """Costs of one model in ``of``: elements, parameters, macs (with attention) or latency (milliseconds).

    ``times`` holds, per component, the milliseconds of its modules as :mod:`prunelab.costs.timetable`
    measures them, where latency is the currency. A unit's multiply-accumulates are its host module's,
    less what survives, shared equally by its elements: exact for heads, neurons and whole modules. Its
    latency is shared in the same way. ``total`` is the whole component's, or the number of chosen
    elements in it where elements are counted. ``smaller`` gives a component's structure after a plan, for
    channels: the rows of one are columns of another, so that only a whole plan has a cost.
    ``counts`` of the model, where they are known already.
    """

    def __init__(
        self,
        of: str,
        model: Model,
        units: Sequence[Unit],
        times: Times | None = None,
        smaller: Smaller | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.counts = counts or Counts(model)
        self.of, self.model, self.units, self.times, self.smaller = of, model, units, times, smaller

    def cost(self, unit: Unit) -> float:
        """The cost of one element of ``unit``."""
        if self.of == "elements":
            return 1.0
        if self.of == "parameters":
            return float(unit.parameters_per_element(self.model.components[unit.component]))
        inside = self._inside(unit.component)
        kept = sum(inside.get(path, 0) for path in unit.spared)
        return (inside[unit.host] * (1 - self._bypassed(unit)) - kept) / unit.elements

    def _bypassed(self, unit: Unit) -> float:
        """The share of a convolution that its bypass still needs: as many outputs, fewer weights each."""
        if unit.gate.bypass is None:
            return 0.0
        weights = self.model.components[unit.component].get_submodule(unit.path).get_parameter("weight")
        return unit.gate.bypass.get_parameter("projection.weight").numel() / weights.numel()

    def total(self, component: str) -> float:
        """The cost of the component."""
        if self.of == "elements":
            return float(sum(unit.elements for unit in self.units if unit.component == component))
        if self.of == "parameters":
            return float(sum(p.numel() for p in self.model.components[component].parameters()))
        return float(self._inside(component)[""])

    def saved(self, component: str, plan: Plan) -> float:
        """What slimming by ``plan`` saves of parameters or MACs."""
        assert self.smaller is not None, "a ledger for channels knows what is left after a plan"
        left = self.smaller(component, plan)
        if self.of == "parameters":
            return self.total(component) - sum(p.numel() for p in left.parameters())
        return self.total(component) - macs(left, self.model.example_inputs(component, 1)).total

    def _inside(self, component: str) -> Mapping[str, float]:
        """Module path -> what is spent inside it, in the currency."""
        if self.of == "latency":
            assert self.times is not None, "a latency budget comes with a timetable"
            return self.times[component]
        return self.counts.of(self.model, component).by_module
