"""Per-granularity budget: the units of each kind compete with each other only (the scope of EcoDiff)."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from prunelab.budgets.ranking import Currency, as_plan, candidates, check_free, share
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
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

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """``int(n * share)`` of the n elements of each granularity, the lowest-scored of all components.

        ``sparsity`` is one share, or one per granularity (absent = keep all).
        """
        check_free(units, "per_granularity")
        kinds: dict[str, list[Unit]] = {}
        for unit in units:
            kinds.setdefault(unit.granularity, []).append(unit)
        _check_names(sparsity, list(kinds))
        plan: dict[str, Tensor] = {}
        for kind, members in kinds.items():
            ranked = candidates(scores, members, ledger, "score")
            gone = int(len(ranked) * share(sparsity, kind) + 1e-9)
            plan.update(as_plan(members, ranked[:gone]))
        return plan


def _check_names(sparsity: object, kinds: Sequence[str]) -> None:
    unknown = [name for name in sparsity if name not in kinds] if isinstance(sparsity, Mapping) else []
    if unknown:
        raise Refusal(f"sparsity names {unknown[0]!r}: the chosen granularities are {', '.join(kinds)}")
