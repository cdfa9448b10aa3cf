"""N:M patterns: of every M consecutive weights of a row, N stay (Mishra et al. 2021, arXiv 2104.08378)."""

import math
from collections.abc import Sequence
from dataclasses import field

import torch
from torch import Tensor

from prunelab.budgets.each_component import each_component
from prunelab.budgets.limits import check_single_weights
from prunelab.budgets.lowest import lowest
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Plan, Scores
from prunelab.core.settings import Several, settings
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit


@settings
class NOfM:
    """``m``: the pattern's length. The sparsity says how many of m go: 0.5 of m=4 is 2:4."""

    m: Several = 4
    of: str = field(default="elements", init=False)

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: Ledger, sparsity: Sparsity) -> Plan:
        """The lowest of every ``m`` neighbours; refuses widths and shares that are no whole patterns."""
        check_single_weights(units, "n_of_m")
        plan: dict[str, Tensor] = {}
        for members, share in each_component(units, sparsity):
            gone = self._removed(share)
            if gone:
                self._check_widths(members)
            for unit in members:
                plan[unit.name] = self._kept(scores, unit, gone)
        return plan

    def _kept(self, scores: Scores, unit: Unit, gone: int) -> Tensor:
        if not gone:
            return torch.ones(unit.elements, dtype=torch.bool)
        return ~lowest(scores[unit.name].reshape(-1, self.m), gone).flatten()

    def _removed(self, share: float) -> int:
        """How many of m go."""
        gone = round(share * self.m)
        if not math.isclose(gone, share * self.m, abs_tol=1e-9):
            possible = ", ".join(f"{k / self.m:.3g}" for k in range(1, self.m))
            raise Refusal(f"sparsity={share:g} is no whole number of every {self.m} weights: use {possible}")
        return gone

    def _check_widths(self, units: Sequence[Unit]) -> None:
        """Refuse rows that end within a pattern, with the patterns that fit all of them."""
        widths = {unit.matrix[1]: unit for unit in units if unit.matrix is not None}
        odd = next((width for width in widths if width % self.m), None)
        if odd is not None:
            divisor = math.gcd(*widths)
            fitting = [str(m) for m in range(2, min(divisor, 64) + 1) if divisor % m == 0]
            advice = f"budget.m={' or '.join(fitting)} fits all rows" if fitting else "use budget=groups"
            raise Refusal(
                f"rows of {widths[odd].name} have {odd} weights, no multiple of budget.m={self.m}: {advice}"
            )
