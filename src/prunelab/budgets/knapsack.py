"""Knapsack budget: the cheapest plan in score that meets the cost target, solved as an integer program.

Greedy ranking is not optimal when elements have unlike costs; this is the 0-1 knapsack in its covering
form: minimise the summed score of what goes, subject to its cost lying between the target and the target
plus ``slack``. LAPTOP-Diff (Zhang et al. 2024, arXiv 2404.11098) selects layers this way, on the finding
that layers' scores nearly add up. Solved by HiGHS through SciPy.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from prunelab.budgets.ranking import (
    CLOSE,
    Candidate,
    Currency,
    as_plan,
    candidates,
    check_free,
    check_reach,
    share,
)
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import Share, settings
from prunelab.core.units import Unit, by_component

SECONDS = 30.0  # after which the best plan found so far is taken


@settings
class Knapsack:
    """``of``: elements, parameters, macs or latency; ``slack``: how far above the target, as a share."""

    of: Currency = "parameters"
    slack: Share = CLOSE

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """One program over everything; the target is a share of all components together."""
        if isinstance(sparsity, Mapping):
            raise Refusal("budget=knapsack takes one sparsity for all; for one each use budget=per_component")
        check_free(units, "knapsack")
        components = list(by_component(units))
        total = sum(ledger.total(name) for name in components)
        target = share(sparsity, "the model") * total
        check_reach(units, ledger, target, total, self.of, " and ".join(components))
        ranked = candidates(scores, units, ledger, "score")
        return as_plan(units, self._cover(ranked, target, self.slack * total))

    def _cover(self, ranked: Sequence[Candidate], target: float, slack: float) -> list[Candidate]:
        """The elements to remove; without an upper limit where no plan fits between the two."""
        if target <= 0:
            return []
        costs = np.array([each.cost for each in ranked]) / target
        keys = np.array([each.key for each in ranked])
        keys = (keys - min(keys.min(), 0)) / max(np.abs(keys).max(), 1e-300)
        for upper in (1 + slack / target, np.inf):
            found = milp(
                keys,
                integrality=np.ones(len(keys)),
                bounds=Bounds(0, 1),
                constraints=LinearConstraint(costs[None, :], 1 - 1e-9, upper),
                options={"time_limit": SECONDS},
            )
            if found.x is not None:
                return [each for each, gone in zip(ranked, found.x, strict=True) if gone > 0.5]
        raise AssertionError("check_reach lets no target through that all elements together cannot meet")
