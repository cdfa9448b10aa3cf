"""Comparison groups: the same share of single weights goes from every row, matrix, component or from all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Literal

import torch
from torch import Tensor

from prunelab.budgets.lowest import lowest, whole
from prunelab.budgets.shares import shares
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import settings
from prunelab.core.units import Unit, by_component

Scope = Literal["row", "matrix", "component", "global"]


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
    """``scope``: who competes with whom. Magnitude is usual per matrix, Wanda per row."""

    scope: Scope = "matrix"
    of: str = field(default="elements", init=False)

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """Exactly ``int(n * share)`` weights of each group of n, its lowest-scored; ties go by index."""
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
            return {unit.name: keep_in_matrix(scores, unit, share, self.scope) for unit in units}
        ranked = sorted(units, key=lambda unit: unit.name)  # so that ties go by name and index
        joined = torch.cat([scores[unit.name] for unit in ranked])[None]
        kept = ~lowest(joined, whole(joined.numel(), share))[0]
        parts = kept.split([unit.elements for unit in ranked])
        return {unit.name: part.clone() for unit, part in zip(ranked, parts, strict=True)}


def keep_in_matrix(scores: Scores, unit: Unit, share: float, scope: str) -> Tensor:
    """The keep-mask of one matrix whose rows compete each for itself (``row``) or together (``matrix``)."""
    assert unit.matrix is not None
    if not share:
        return torch.ones(unit.elements, dtype=torch.bool)
    competing = scores[unit.name].reshape(unit.matrix if scope == "row" else (1, -1))
    return ~lowest(competing, whole(competing.shape[1], share)).flatten()
