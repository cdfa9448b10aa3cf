"""Per-component budget: the units of each component compete with each other, at a sparsity of its own."""

from collections.abc import Sequence

from torch import Tensor

from prunelab.budgets.everywhere import Everywhere
from prunelab.budgets.ranking import Currency, Rank
from prunelab.budgets.shares import shares
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.units import Unit, by_component


@settings
class PerComponent:
    """``of``: elements, parameters or macs; ``rank``: score, or score per cost in that currency."""

    of: Currency = "elements"
    rank: Rank = "score_per_cost"

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """A ranking per component; ``sparsity`` is one share, or one per component (absent = keep all)."""
        groups = by_component(units)
        inside = Everywhere(self.of, self.rank)
        plan: dict[str, Tensor] = {}
        for component, asked in shares(sparsity, list(groups)).items():
            plan.update(inside.plan(scores, groups[component], ledger, asked))
        return plan
