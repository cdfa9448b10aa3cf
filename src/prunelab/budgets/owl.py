"""Outlier-weighed layerwise sparsity: blocks with many outliers keep more.

OWL (Yin et al., ICML 2024, arXiv 2310.05175). With D_l the share of the scores of transformer block l (all
its matrices pooled) above M times their mean,

    keep_l = r_l - mean(r) + (1 - s),    r_l = 2 lambda (D_l - min D) / (max D - min D),

and block l loses the share 1 - keep_l of each of its groups, or ``floor`` where that is nothing or less;
M = 7, lambda = 0.08 and a floor of 0.01 in the study of Stable Diffusion 2. The outliers are those of Wanda's
scores in either, whichever scores say what goes inside a block. The mean weighs blocks by their weights, so
that the total stays s where they differ in size; it is the paper's where they do not. Matrices outside of
any block lose s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Lt
from torch import Tensor

from prunelab.budgets.each_component import each_component
from prunelab.budgets.groups import Cut, keep_in_matrix
from prunelab.budgets.limits import check_single_weights
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import Made, Names, NonNegative, Positive, Share, settings
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit

Scope = Literal["row", "matrix"]


@settings
class Owl:
    """``scope``: row or matrix; ``threshold``: M; ``spread``: lambda, the largest change up or down.

    allocation: the scorer among whose scores outliers are counted; None for the scores that rank.
    components: those that are allocated over, None for all; the others lose s everywhere. ``floor``: what a
    block loses at least; a share above 1 is cut off: the report's achieved sparsity shows either.
    ``cut``: as of :class:`prunelab.budgets.groups.Groups`, but of a matrix one weight more (the study's
    index is one further here).
    """

    scope: Scope = "matrix"
    threshold: Positive = 7.0
    spread: Annotated[NonNegative, Lt(0.5)] = 0.08
    floor: Share = 0.01
    cut: Cut = "exact"
    components: Names | None = None
    allocation: Made | None = None
    of: str = field(default="elements", init=False)

    def plan(
        self,
        scores: Scores,
        units: Sequence[Unit],
        ledger: Ledger,
        sparsity: Sparsity,
        allocation: Scores | None = None,
    ) -> Plan:
        """``int(n * share of its block)`` weights of each group of n, the lowest in ``scores``.

        ``allocation``: the scores whose outliers are counted, where they are not ``scores`` themselves.
        """
        check_single_weights(units, "owl")
        counted = scores if allocation is None else allocation
        plan: dict[str, Tensor] = {}
        for members, share in each_component(units, sparsity):
            allocated = share and (self.components is None or members[0].component in self.components)
            of_blocks = self.block_shares(counted, members, share) if allocated else {}
            for unit in members:
                own = of_blocks.get(unit.layer, share)
                beyond = int(unit.layer in of_blocks)
                plan[unit.name] = keep_in_matrix(scores, unit, own, self.scope, self.cut, beyond)
        return plan

    def block_shares(self, scores: Scores, units: Sequence[Unit], share: float) -> dict[str, float]:
        """Block -> the share that it loses, for the units of one component."""
        blocks: dict[str, list[Unit]] = {}
        for unit in units:
            if unit.layer:
                blocks.setdefault(unit.layer, []).append(unit)
        if not blocks:
            raise Refusal(
                f"budget=owl allocates over transformer blocks and the {units[0].granularity} units of "
                f"{units[0].component} lie in none: use budget=groups"
            )
        ratios = self._rescaled({name: self._outliers(scores, of) for name, of in blocks.items()})
        sizes = {name: sum(unit.elements for unit in of) for name, of in blocks.items()}
        mean = sum(ratios[name] * size for name, size in sizes.items()) / sum(sizes.values())
        asked = {name: share - ratio + mean for name, ratio in ratios.items()}
        return {name: min(each, 1.0) if each > 0 else self.floor for name, each in asked.items()}

    def _outliers(self, scores: Scores, units: Sequence[Unit]) -> float:
        """The share of a block's scores above ``threshold`` times their mean."""
        size = sum(unit.elements for unit in units)
        mean = sum(float(scores[unit.name].sum()) for unit in units) / size
        return sum(int((scores[unit.name] > self.threshold * mean).sum()) for unit in units) / size

    def _rescaled(self, outliers: Mapping[str, float]) -> dict[str, float]:
        """To [0, 2 lambda]; equal ones leave every block its share."""
        low, high = min(outliers.values()), max(outliers.values())
        if low == high:
            return dict.fromkeys(outliers, 0.0)
        return {name: 2 * self.spread * (d - low) / (high - low) for name, d in outliers.items()}
