"""Uniform budget: the same share goes from every unit."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from torch import Tensor

from prunelab.budgets.ranking import (
    Candidate,
    Currency,
    as_plan,
    candidates,
    check_separate,
    share,
)
from prunelab.budgets.rounding import Rounding, count
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores, removed
from prunelab.core.settings import Count, settings
from prunelab.core.units import Unit, by_component


@settings
class Uniform:
    """``of``: elements, parameters or macs. With the last two the common share is what meets the cost.

    The cost of channels, which cannot be added up, is that of the model slimmed by the whole plan.

    ``rounding``: none, published or multiple (of ``multiple``): see :func:`prunelab.budgets.rounding.count`.
    """

    of: Currency = "elements"
    rounding: Rounding = "none"
    multiple: Count = 8

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """The rounded share of each unit, its lowest-scored; units compete with no other unit.

        Where elements come in runs, each run loses its own lowest-scored.
        """
        single = [unit for unit in units if unit.elements == 1]
        if single:
            raise Refusal(
                f"budget=uniform removes a share of each unit, but {single[0].granularity} units have one "
                "element: use budget=global or budget=per_component, or granularity=head or neuron"
            )
        if self.of == "latency":
            check_separate(units, self.of)
        plan: dict[str, Tensor] = {}
        for component, members in by_component(units).items():
            asked = share(sparsity, component)
            common = asked if self.of == "elements" else self._common_share(scores, members, ledger, asked)
            plan.update(self._at(scores, members, ledger, common))
        self._check_some(plan, sparsity)
        return plan

    def _at(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, common: float) -> Plan:
        return as_plan(units, self._lowest(scores, units, ledger, common))

    def _common_share(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, asked: float) -> float:
        """The smallest share of elements at which ``asked`` of the component's cost is removed."""
        component = units[0].component
        total = ledger.total(component)

        def gone(common: float) -> float:
            if any(unit.runs for unit in units):  # channels, wired to each other
                return ledger.saved(component, self._at(scores, units, ledger, common))
            return sum(ledger.cost(unit) * self._count(unit, common) for unit in units)

        steps = sorted({k / unit.elements for unit in units for k in range(unit.elements + 1)})
        # The cost grows with the share: halving finds the step, and the model is slimmed few times.
        place = bisect_left(steps, asked * total - 1e-9, key=gone)
        if place == len(steps):
            kinds = "/".join(sorted({unit.granularity for unit in units}))
            raise Refusal(
                f"sparsity={asked:.3g} of {component}'s {self.of} cannot be met: its {kinds} units give "
                f"{gone(1.0) / total:.1%} of them under budget.rounding={self.rounding}; ask for less, or "
                "choose another rounding or granularity"
            )
        return steps[place]

    def _count(self, unit: Unit, share: float) -> int:
        return count(unit, share, self.rounding, self.multiple)

    def _lowest(
        self, scores: Scores, units: Sequence[Unit], ledger: Ledger, common: float
    ) -> list[Candidate]:
        gone: list[Candidate] = []
        for unit in units:
            runs = max(unit.runs, 1)
            length, each = unit.elements // runs, self._count(unit, common) // runs
            ranked = candidates(scores, [unit], ledger, "score")
            for run in range(runs):
                gone += [one for one in ranked if one.index // length == run][:each]
        return gone

    def _check_some(self, plan: Plan, sparsity: object) -> None:
        """Refuse a rounding under which nothing at all would go."""
        asked = sparsity.values() if isinstance(sparsity, Mapping) else [sparsity]
        if self.rounding == "multiple" and any(asked) and not removed(plan):
            raise Refusal(
                f"sparsity={sparsity} in steps of budget.multiple={self.multiple} removes nothing here: "
                "use a smaller multiple, a larger sparsity, or budget.rounding=none"
            )
