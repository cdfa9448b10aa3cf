"""Uniform budget: the same share goes from every unit."""

from collections.abc import Sequence

from torch import Tensor

from prunelab.budgets.common_share import common_share
from prunelab.budgets.each_component import each_component
from prunelab.budgets.limits import check_separate, check_structures
from prunelab.budgets.lowest import lowest
from prunelab.budgets.ranking import Currency
from prunelab.budgets.rounding import Rounding, count
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores, removed
from prunelab.core.settings import Count, settings
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit


@settings
class Uniform:
    """``of``: elements, parameters or macs. With the last two the common share is what meets the cost.

    The cost of channels, which cannot be added up, is that of the model slimmed by the whole plan.

    ``rounding``: none, published or multiple (of ``multiple``): see :func:`prunelab.budgets.rounding.count`.
    """

    of: Currency = "elements"
    rounding: Rounding = "none"
    multiple: Count = 8

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: Sparsity) -> Plan:
        """The rounded share of each unit, its lowest-scored; units compete with no other unit.

        Where elements come in runs, each run loses its own lowest-scored.
        """
        single = [unit for unit in units if unit.elements == 1]
        if single:
            raise Refusal(
                f"budget=uniform removes a share of each unit, but {single[0].granularity} units have one "
                "element: use budget=global or budget=per_component, or granularity=head or neuron"
            )
        check_structures(units)
        if self.of == "latency":
            check_separate(units)
        plan: dict[str, Tensor] = {}
        for members, asked in each_component(units, sparsity):
            common = asked if self.of == "elements" else self._common_share(scores, members, ledger, asked)
            plan.update(self._at(scores, members, common))
        self._check_some(plan, sparsity)
        return plan

    def _at(self, scores: Scores, units: Sequence[Unit], common: float) -> Plan:
        return {unit.name: self._kept(scores[unit.name], unit, common) for unit in units}

    def _common_share(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, asked: float) -> float:
        """The smallest share of elements at which ``asked`` of the component's cost is removed."""
        component = units[0].component
        total = ledger.total(component)

        def gone(common: float) -> float:
            if any(unit.runs for unit in units):  # channels, wired to each other
                return ledger.saved(component, self._at(scores, units, common))
            return sum(ledger.cost(unit) * self._count(unit, common) for unit in units)

        found = common_share((unit.elements for unit in units), asked * total, gone)
        if found is None:
            kinds = "/".join(sorted({unit.granularity for unit in units}))
            raise Refusal(
                f"sparsity={asked:.3g} of {component}'s {self.of} cannot be met: its {kinds} units give "
                f"{gone(1.0) / total:.1%} of them under budget.rounding={self.rounding}; ask for less, or "
                "choose another rounding or granularity"
            )
        return found

    def _count(self, unit: Unit, share: float) -> int:
        return count(unit, share, self.rounding, self.multiple)

    def _kept(self, scores: Tensor, unit: Unit, common: float) -> Tensor:
        runs = max(unit.runs, 1)
        return ~lowest(scores.reshape(runs, -1), self._count(unit, common) // runs).flatten()

    def _check_some(self, plan: Plan, sparsity: Sparsity) -> None:
        """Refuse a rounding under which nothing at all would go."""
        if self.rounding == "multiple" and any(sparsity.shares.values()) and not removed(plan):
            raise Refusal(
                f"sparsity={sparsity.asked} in steps of budget.multiple={self.multiple} removes nothing "
                "here: use a smaller multiple, a larger sparsity, or budget.rounding=none"
            )
