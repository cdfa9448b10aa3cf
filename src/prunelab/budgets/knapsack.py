"""Knapsack budget: the cheapest plan in score that meets the cost target, solved as an integer program.

Greedy ranking is not optimal when elements have unlike costs; this is the 0-1 knapsack in its covering
form: minimise the summed score of what goes, subject to its cost lying between the target and the target
plus ``slack``. LAPTOP-Diff (Zhang et al. 2024, arXiv 2404.11098) selects layers this way, on the finding
that layers' scores nearly add up. Solved by HiGHS through SciPy.
"""

from collections.abc import Sequence

import numpy as np
import torch

from prunelab.budgets.covering import cover
from prunelab.budgets.limits import check_free, reachable
from prunelab.budgets.ranking import CLOSE, Currency, Ranking
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores, keep_all
from prunelab.core.settings import Share, settings
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit


@settings
class Knapsack:
    """``of``: elements, parameters, macs or latency; ``slack``: how far above the target, as a share."""

    of: Currency = "parameters"
    slack: Share = CLOSE

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: Sparsity) -> Plan:
        """One program over everything; the target is a share of all components together."""
        share = sparsity.of_all("budget=knapsack", "budget=per_component")
        check_free(units, "knapsack")
        target, total = reachable(units, ledger, share, self.of)
        if target <= 0:
            return keep_all(units)
        ranking = Ranking.of(scores, units, ledger, "score")
        keys = ranking.keys.numpy()
        keys = (keys - min(keys.min(), 0)) / max(np.abs(keys).max(), 1e-300)
        gone = cover(keys, ranking.costs.numpy() / target, self.slack * total / target)
        return ranking.without(torch.from_numpy(gone))
