"""Per-granularity budget: the units of each kind compete with each other only (the scope of EcoDiff)."""

from collections.abc import Sequence

from torch import Tensor

from prunelab.budgets.limits import check_free
from prunelab.budgets.lowest import without_lowest
from prunelab.budgets.ranking import Currency
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.sparsity import Sparsity, whole
from prunelab.core.units import Unit


@settings
class PerGranularity:
    """``of``: elements; a head and a neuron cost too differently for one share of anything else."""

    of: Currency = "elements"

    def __post_init__(self) -> None:
        """Refuse other currencies."""
        if self.of != "elements":
            raise Refusal(
                f"budget.of={self.of!r} has no meaning per granularity, which counts elements: "
                "use budget=global or budget=per_component"
            )

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: Sparsity) -> Plan:
        """``int(n * share)`` of the n elements of each granularity, the lowest-scored of all components.

        ``sparsity`` is one share, or one per granularity (absent = keep all).
        """
        check_free(units, "per_granularity")
        kinds = list(dict.fromkeys(unit.granularity for unit in units))
        plan: dict[str, Tensor] = {}
        for kind, share in sparsity.of_each(kinds, "the chosen granularities").items():
            members = [unit for unit in units if unit.granularity == kind]
            elements = sum(unit.elements for unit in members)
            plan.update(without_lowest(scores, members, whole(elements, share)))
        return plan
