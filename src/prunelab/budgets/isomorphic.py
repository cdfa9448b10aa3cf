"""Isomorphic budget: units compete only with units of the same kind, and every kind gives the same share.

After Isomorphic Pruning (Fang et al., ECCV 2024): scores of unlike structures do not compare. Two units
are of one kind when component, granularity, the name of their module and its cost agree: all ``attn1`` of one
width, all ``conv2`` of one width.
"""

from collections.abc import Sequence

from torch import Tensor

from prunelab.budgets.common_share import common_share
from prunelab.budgets.each_component import each_component
from prunelab.budgets.limits import check_free, reachable
from prunelab.budgets.lowest import without_lowest
from prunelab.budgets.ranking import Currency
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.sparsity import Sparsity, whole
from prunelab.core.units import Unit


@settings
class Isomorphic:
    """``of``: elements, parameters, macs or latency; with a cost, the common share is what meets it."""

    of: Currency = "elements"

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: Sparsity) -> Plan:
        """The lowest-scored share of each kind, per component."""
        check_free(units, "isomorphic")
        plan: dict[str, Tensor] = {}
        for members, asked in each_component(units, sparsity):
            target, _ = reachable(members, ledger, asked, self.of)
            groups = list(kinds(members, ledger).values())
            common = asked if self.of == "elements" else _common(groups, ledger, target)
            for group in groups:
                plan.update(without_lowest(scores, group, whole(_size(group), common)))
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


def _common(groups: Sequence[Sequence[Unit]], ledger: Ledger, target: float) -> float:
    """The smallest share of every kind at which the removed cost reaches ``target``."""
    sizes = [(_size(group), ledger.cost(group[0])) for group in groups]

    def gone(share: float) -> float:
        return sum(cost * whole(size, share) for size, cost in sizes)

    found = common_share((size for size, _ in sizes), target, gone)
    return 1.0 if found is None else found  # all of it, which is the target to round-off
