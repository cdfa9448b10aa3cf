"""Uniform budget: the same share goes from every unit."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from prunelab.budgets.ranking import Candidate, as_plan, candidates, check_choice, check_reach, share
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.units import Unit, by_component


@dataclass(frozen=True)
class Uniform:
    """``of``: elements, parameters or macs. With the last two the common share is what meets the cost."""

    of: str = "elements"

    def __post_init__(self) -> None:
        """Refuse an unknown currency."""
        check_choice(self.of, "score")

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """``int(elements * share)`` of each unit, its lowest-scored; units compete with no other unit."""
        single = [unit for unit in units if unit.elements == 1]
        if single:
            raise Refusal(
                f"budget=uniform removes a share of each unit, but {single[0].granularity} units have one "
                "element: use budget=global or budget=per_component, or granularity=head or neuron"
            )
        plan: dict[str, Tensor] = {}
        for component, members in by_component(units).items():
            asked = share(sparsity, component)
            total = ledger.total(component)
            check_reach(members, ledger, asked * total, total, self.of, component)
            common = asked if self.of == "elements" else self._common_share(members, ledger, asked * total)
            plan.update(as_plan(members, _lowest(scores, members, ledger, common)))
        return plan

    def _common_share(self, units: Sequence[Unit], ledger: Ledger, target: float) -> float:
        """The smallest share at which the removed cost reaches ``target``."""
        steps = sorted({k / unit.elements for unit in units for k in range(unit.elements + 1)})
        reached = [s for s in steps if sum(ledger.cost(u) * _count(u, s) for u in units) >= target - 1e-9]
        return reached[0]


def _count(unit: Unit, share: float) -> int:
    return int(unit.elements * share + 1e-9)


def _lowest(scores: Scores, units: Sequence[Unit], ledger: Ledger, common: float) -> list[Candidate]:
    gone: list[Candidate] = []
    for unit in units:
        gone += candidates(scores, [unit], ledger, "score")[: _count(unit, common)]
    return gone
