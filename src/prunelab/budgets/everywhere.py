"""Global budget: all chosen units of all components compete with each other."""

from collections.abc import Sequence

from prunelab.budgets.limits import check_free, reachable
from prunelab.budgets.lowest import without_lowest
from prunelab.budgets.ranking import CLOSE, Currency, Rank, Ranking
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.sparsity import Sparsity, whole
from prunelab.core.units import Unit


@settings
class Everywhere:
    """``of``: elements, parameters or macs; ``rank``: score, or score per cost in that currency."""

    of: Currency = "elements"
    rank: Rank = "score_per_cost"

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: Sparsity) -> Plan:
        """One ranking over everything; the target is a share of all components together."""
        share = sparsity.of_all("budget=global", "budget=per_component")
        check_free(units, "global")
        target, total = reachable(units, ledger, share, self.of)
        if self.of == "elements":
            return without_lowest(scores, units, whole(total, share))
        return Ranking.of(scores, units, ledger, self.rank).take(target, CLOSE * total)
