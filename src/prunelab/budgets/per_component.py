"""Per-component budget: the units of each component compete with each other, at a sparsity of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from prunelab.budgets.everywhere import Everywhere
from prunelab.budgets.ranking import check_choice
from prunelab.budgets.shares import shares
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.units import Unit, by_component


@dataclass(frozen=True)
class PerComponent:
    """``of``: elements, parameters or macs; ``rank``: score, or score per cost in that currency."""

    of: str = "elements"
    rank: str = "score_per_cost"

    def __post_init__(self) -> None:
        """Refuse unknown choices."""
        check_choice(self.of, self.rank)

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """A ranking per component; ``sparsity`` is one share, or one per component (absent = keep all)."""
        groups = by_component(units)
        inside = Everywhere(self.of, self.rank)
        plan: dict[str, Tensor] = {}
        for component, asked in shares(sparsity, list(groups)).items():
            plan.update(inside.plan(scores, groups[component], ledger, asked))
        return plan
