"""Outlier-weighed layerwise sparsity: blocks with many outliers keep more.

OWL (Yin et al., ICML 2024, arXiv 2310.05175). With D_l the share of the scores of transformer block l (all
its matrices pooled) above M times their mean,

    keep_l = r_l - mean(r) + (1 - s),    r_l = 2 lambda (D_l - min D) / (max D - min D),

and block l loses the share 1 - keep_l of each of its groups; M = 7 and lambda = 0.08 in the study of Stable
Diffusion 2. The mean weighs blocks by their weights, so that the total stays s where they differ in size; it
is the paper's where they do not. Matrices outside of any block lose s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Lt
from torch import Tensor

from prunelab.budgets.groups import check_single_weights, keep_in_matrix
from prunelab.budgets.shares import shares
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import NonNegative, Positive, settings
from prunelab.core.units import Unit, by_component

Scope = Literal["row", "matrix"]


@settings
class Owl:
    """``scope``: row or matrix; ``threshold``: M; ``spread``: lambda, the largest change up or down.

    A share that would leave [0, 1) is cut off there: the report's achieved sparsity shows it.
    """

    scope: Scope = "matrix"
    threshold: Positive = 7.0
    spread: Annotated[NonNegative, Lt(0.5)] = 0.08
    of: str = field(default="elements", init=False)

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: object) -> Plan:
        """Exactly ``int(n * share of its block)`` weights of each group of n; ties go by index."""
        check_single_weights(units, "owl")
        groups = by_component(units)
        plan: dict[str, Tensor] = {}
        for component, share in shares(sparsity, list(groups)).items():
            of_blocks = self.allocation(scores, groups[component], share) if share else {}
            for unit in groups[component]:
                own = of_blocks.get(unit.layer, share)
                plan[unit.name] = keep_in_matrix(scores, unit, own, self.scope)
        return plan

    def allocation(self, scores: Scores, units: Sequence[Unit], share: float) -> dict[str, float]:
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
        return {name: min(max(share - ratio + mean, 0.0), 1.0) for name, ratio in ratios.items()}

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
