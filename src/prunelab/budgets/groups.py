"""Comparison groups: the same share of single weights goes from every row, matrix, component or from all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Literal

import torch
from torch import Tensor

from prunelab.budgets.lowest import at_or_below, lowest, whole
from prunelab.budgets.shares import shares
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.units import Unit, by_component

Scope = Literal["row", "matrix", "component", "global"]
Cut = Literal["exact", "published"]


def check_single_weights(units: Sequence[Unit], budget: str) -> None:
    """Refuse units that are more than single weights."""
    for unit in units:
        if unit.matrix is None:
            raise Refusal(
                f"budget={budget} compares single weights, not {unit.granularity} units: set "
                "granularity=weight or conv_weight, or use budget=global, per_component or uniform"
            )


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

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """Under an exact cut ``int(n * share)`` weights of each group of n, its lowest; ties go by index."""
        check_single_weights(units, "groups")
        plan: dict[str, Tensor] = {}
        for members, share in self._competing(units, sparsity):
            plan.update(self._kept(scores, members, share))
        return {unit.name: plan[unit.name] for unit in units}

    def _competing(self, units: Sequence[Unit], sparsity: object) -> Iterator[tuple[Sequence[Unit], float]]:
        """Units that are ranked in one go, with their share."""
        if self.scope == "global":
            if isinstance(sparsity, Mapping):
                raise Refusal(
                    "budget.scope=global takes one sparsity for all; for one each use budget.scope=component"
                )
            yield units, shares(sparsity, ["the model"])["the model"]
            return
        groups = by_component(units)
        for component, share in shares(sparsity, list(groups)).items():
            members = groups[component]
            for group in [members] if self.scope == "component" else [[unit] for unit in members]:
                yield group, share

    def _kept(self, scores: Scores, units: Sequence[Unit], share: float) -> dict[str, Tensor]:
        if self.scope in ("row", "matrix"):
            return {unit.name: keep_in_matrix(scores, unit, share, self.scope, self.cut) for unit in units}
        ranked = sorted(units, key=lambda unit: unit.name)  # so that ties go by name and index
        joined = torch.cat([scores[unit.name] for unit in ranked])[None]
        kept = ~lowest(joined, whole(joined.numel(), share))[0]
        parts = kept.split([unit.elements for unit in ranked])
        return {unit.name: part.clone() for unit, part in zip(ranked, parts, strict=True)}


def keep_in_matrix(
    scores: Scores, unit: Unit, share: float, scope: str, cut: Cut = "exact", beyond: int = 0
) -> Tensor:
    """The keep-mask of one matrix whose rows compete each for itself (``row``) or together (``matrix``).

    ``beyond``: how many more than ``int(n * share)`` go of a matrix under the published cut.
    """
    assert unit.matrix is not None
    if not share:
        return torch.ones(unit.elements, dtype=torch.bool)
    if cut == "published" and scope == "matrix":
        count = min(int(unit.elements * share) + beyond, unit.elements)
        return ~at_or_below(scores[unit.name], count)
    competing = scores[unit.name].reshape(unit.matrix if scope == "row" else (1, -1))
    return ~lowest(competing, whole(competing.shape[1], share)).flatten()
