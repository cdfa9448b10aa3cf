"""Global budget: all chosen units of all components compete with each other."""

from collections.abc import Mapping, Sequence

from prunelab.budgets.ranking import (
    CLOSE,
    Currency,
    Rank,
    as_plan,
    candidates,
    check_free,
    check_reach,
    share,
    take,
)
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.units import Unit, by_component


@settings
class Everywhere:
    """``of``: elements, parameters or macs; ``rank``: score, or score per cost in that currency."""

    of: Currency = "elements"
    rank: Rank = "score_per_cost"

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """One ranking over everything; the target is a share of all components together."""
        if isinstance(sparsity, Mapping):
            raise Refusal("budget=global takes one sparsity for all; for one each use budget=per_component")
        check_free(units, "global")
        components = list(by_component(units))
        total = sum(ledger.total(name) for name in components)
        target = share(sparsity, "the model") * total
        check_reach(units, ledger, target, total, self.of, " and ".join(components))
        slack = 0.0 if self.of == "elements" else CLOSE * total
        whole = float(int(target + 1e-9)) if self.of == "elements" else target
        return as_plan(units, take(candidates(scores, units, ledger, self.rank), whole, slack))
