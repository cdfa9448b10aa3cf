"""Comparison groups: the same share of single weights goes from every row, matrix, component or from all."""

from collections.abc import Sequence
from dataclasses import field
from typing import Literal

from torch import Tensor

from prunelab.budgets.each_component import each_component
from prunelab.budgets.limits import check_single_weights
from prunelab.budgets.lowest import at_or_below, lowest, without_lowest
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores, keep_all
from prunelab.core.settings import settings
from prunelab.core.sparsity import Sparsity, whole
from prunelab.core.units import Unit

Scope = Literal["row", "matrix", "component", "global"]
Cut = Literal["exact", "published"]


@settings
class Groups:
    """``scope``: who competes with whom. Magnitude is usual per matrix, Wanda per row.

    ``cut``: exact, or published, as the study of Stable Diffusion 2 cuts: of a matrix goes whatever is at or
    below the score in place ``int(n * share)``, all that equal it included (in half precision these are
    many); of a row exactly ``int(n * share)``.
    """

    scope: Scope = "matrix"
    cut: Cut = "exact"
    of: str = field(default="elements", init=False)

    def __post_init__(self) -> None:
        """Refuse the published cut of what the study never ranks together."""
        if self.cut == "published" and self.scope not in ("row", "matrix"):
            raise Refusal(
                f"budget.cut=published is of rows and matrices, not budget.scope={self.scope}: "
                "use budget.cut=exact"
            )

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: Sparsity) -> Plan:
        """Under an exact cut ``int(n * share)`` weights of each group of n, its lowest; ties go by index."""
        check_single_weights(units, "groups")
        if self.scope == "global":
            groups = [(units, sparsity.of_all("budget.scope=global", "budget.scope=component"))]
        else:
            groups = [*each_component(units, sparsity)]
        plan: dict[str, Tensor] = {}
        for members, share in groups:
            plan.update(self._kept(scores, members, share))
        return plan

    def _kept(self, scores: Scores, units: Sequence[Unit], share: float) -> dict[str, Tensor]:
        if self.scope in ("row", "matrix"):
            return {unit.name: keep_in_matrix(scores, unit, share, self.scope, self.cut) for unit in units}
        return without_lowest(scores, units, whole(sum(unit.elements for unit in units), share))


def keep_in_matrix(
    scores: Scores, unit: Unit, share: float, scope: str, cut: Cut = "exact", beyond: int = 0
) -> Tensor:
    """The keep-mask of one matrix whose rows compete each for itself (``row``) or together (``matrix``).

    ``beyond``: how many more than ``int(n * share)`` go of a matrix under the published cut.
    """
    assert unit.matrix is not None
    if not share:
        return keep_all([unit])[unit.name]
    if scope == "row":
        rows = scores[unit.name].reshape(unit.matrix)
        return ~lowest(rows, whole(unit.matrix[1], share)).flatten()
    if cut == "published":
        return ~at_or_below(scores[unit.name], min(int(unit.elements * share) + beyond, unit.elements))
    return without_lowest(scores, [unit], whole(unit.elements, share))[unit.name]
