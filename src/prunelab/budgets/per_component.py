"""Per-component budget: the units of each component compete with each other, at a sparsity of its own."""

from collections.abc import Sequence

from torch import Tensor

from prunelab.budgets.each_component import each_component
from prunelab.budgets.everywhere import Everywhere
from prunelab.budgets.ranking import Currency, Rank
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit


@settings
class PerComponent:
    """``of``: elements, parameters or macs; ``rank``: score, or score per cost in that currency."""

    of: Currency = "elements"
    rank: Rank = "score_per_cost"

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: Sparsity) -> Plan:
        """A ranking per component; ``sparsity`` is one share, or one per component (absent = keep all)."""
        inside = Everywhere(self.of, self.rank)
        plan: dict[str, Tensor] = {}
        for members, share in each_component(units, sparsity):
            plan.update(inside.plan(scores, members, ledger, Sparsity(share)))
        return plan
