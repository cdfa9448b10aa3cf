"""Isomorphic budget: units compete only with units of the same kind, and every kind gives the same share.

After Isomorphic Pruning (Fang et al., ECCV 2024): scores of unlike structures do not compare. Two units
are of one kind when component, granularity, the name of their module and its cost agree: all ``attn1`` of one
width, all ``conv2`` of one width.
"""

from collections.abc import Sequence

from torch import Tensor

from prunelab.budgets.ranking import Currency, as_plan, candidates, check_free, check_reach, share
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.units import Unit, by_component


@settings
class Isomorphic:
    """``of``: elements, parameters, macs or latency; with a cost, the common share is what meets it."""

    of: Currency = "elements"

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """The lowest-scored share of each kind, per component."""
        check_free(units, "isomorphic")
        plan: dict[str, Tensor] = {}
        for component, members in by_component(units).items():
            asked, total = share(sparsity, component), ledger.total(component)
            check_reach(members, ledger, asked * total, total, self.of, component)
            groups = list(kinds(members, ledger).values())
            common = asked if self.of == "elements" else _common(groups, ledger, asked * total)
            for group in groups:
                ranked = candidates(scores, group, ledger, "score")
                plan.update(as_plan(group, ranked[: _count(group, common)]))
        return plan


def kinds(units: Sequence[Unit], ledger: Ledger) -> dict[tuple[str, str, float], list[Unit]]:
    """Units by granularity, module name and cost."""
    groups: dict[tuple[str, str, float], list[Unit]] = {}
    for unit in units:
        key = (unit.granularity, unit.path.rpartition(".")[2], ledger.cost(unit))
        groups.setdefault(key, []).append(unit)
    return groups


def _size(group: Sequence[Unit]) -> int:
    return sum(unit.elements for unit in group)


def _count(group: Sequence[Unit], share: float) -> int:
    return int(_size(group) * share + 1e-9)


def _common(groups: Sequence[Sequence[Unit]], ledger: Ledger, target: float) -> float:
    """The smallest share of every kind at which the removed cost reaches ``target``."""
    steps = sorted({k / _size(group) for group in groups for k in range(_size(group) + 1)})
    costs = [(group, ledger.cost(group[0])) for group in groups]
    return next(s for s in steps if sum(cost * _count(group, s) for group, cost in costs) >= target - 1e-9)
