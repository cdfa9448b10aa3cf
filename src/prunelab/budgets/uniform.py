"""Uniform budget: the same share goes from every unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from prunelab.budgets.ranking import (
    Candidate,
    as_plan,
    candidates,
    check_choice,
    check_reach,
    check_separate,
    share,
)
from prunelab.budgets.rounding import check_rounding, count
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores, removed
from prunelab.core.units import Unit, by_component


@dataclass(frozen=True)
class Uniform:
    """``of``: elements, parameters or macs. With the last two the common share is what meets the cost.

    ``rounding``: none, published or multiple (of ``multiple``): see :func:`prunelab.budgets.rounding.count`.
    """

    of: str = "elements"
    rounding: str = "none"
    multiple: int = 8

    def __post_init__(self) -> None:
        """Refuse an unknown currency or rounding."""
        check_choice(self.of, "score")
        check_rounding(self.rounding, self.multiple)

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
        check_separate(units, self.of)
        plan: dict[str, Tensor] = {}
        for component, members in by_component(units).items():
            asked = share(sparsity, component)
            total = ledger.total(component)
            check_reach(members, ledger, asked * total, total, self.of, component)
            common = asked if self.of == "elements" else self._common_share(members, ledger, asked * total)
            plan.update(as_plan(members, self._lowest(scores, members, ledger, common)))
        self._check_some(plan, sparsity)
        return plan

    def _common_share(self, units: Sequence[Unit], ledger: Ledger, target: float) -> float:
        """The smallest share at which the removed cost reaches ``target``."""
        steps = sorted({k / unit.elements for unit in units for k in range(unit.elements + 1)})
        reached = [s for s in steps if self._cost(units, ledger, s) >= target - 1e-9]
        if not reached:
            raise Refusal(
                f"budget.rounding={self.rounding} leaves too little to go: ask for less, "
                "or use budget.rounding=none"
            )
        return reached[0]

    def _cost(self, units: Sequence[Unit], ledger: Ledger, share: float) -> float:
        return sum(ledger.cost(unit) * self._count(unit, share) for unit in units)

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
