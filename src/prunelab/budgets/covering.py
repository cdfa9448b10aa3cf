"""The covering program of the knapsack budget: the least summed score whose cost reaches a target.

Without whole elements it is solved by sorting: by score per cost, until the target is met within one element.
That bounds every plan from below, and all but the elements nearest to the turn are as in the best plan nearly
always (the core of Balas and Zemel, Operations Research 1980), so that many elements cost no more than some
thousand do.
"""

import sys
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from prunelab.core import processes
from prunelab.core.errors import Refusal

SECONDS = 30.0  # for the program
CORE = 4000  # elements of a program that keeps its limit
PROVEN, GOOD = 1e-4, 0.01  # gaps: as small as HiGHS leaves; beyond which no plan is taken

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def cover(scores: Floats, costs: Floats, slack: float) -> Mask:
    """Which elements go: their costs add up to 1, or to ``1 + slack`` at most where any do; (n,) to (n,).

    scores: 0 or more. What is not proven to be the best is said on standard error with the gap to the bound
    on all others, and refused where that is large.
    """
    ratios = np.divide(scores, costs, out=np.full_like(scores, np.inf), where=costs > 0)
    order = np.argsort(ratios, kind="stable")
    met = costs[order].cumsum() >= 1 - 1e-9
    met[np.count_nonzero(costs > 0) - 1] = True  # all together do, to round-off
    turn = int(met.argmax())
    multiplier = ratios[order[turn]]
    bound = multiplier + np.minimum(scores - multiplier * costs, 0).sum()
    first = max(0, min(turn - CORE // 2, len(scores) - CORE))
    taken, core = order[:first], np.sort(order[first : first + CORE])
    rounded = _rounded(scores, costs, slack, order, turn)
    if len(core) < len(scores) and _gap(scores, rounded, bound) <= PROVEN:
        return rounded
    solved = _program(scores[core], costs[core], 1 - costs[taken].sum(), slack)
    if solved is None:
        return _near(rounded, _gap(scores, rounded, bound))
    gone = np.zeros(len(scores), dtype=bool)
    gone[taken], gone[core] = True, solved
    return gone if len(core) == len(scores) else _near(gone, _gap(scores, gone, bound))


def _rounded(scores: Floats, costs: Floats, slack: float, order: NDArray[np.intp], turn: int) -> Mask:
    """What goes before the ``turn``, and the one of the rest of the least score that meets the target."""
    gone = np.zeros(len(scores), dtype=bool)
    gone[order[:turn]] = True
    rest = order[turn:]
    missing = 1 - costs[gone].sum()
    reach = costs[rest] >= missing - 1e-9
    fits = reach & (costs[rest] <= missing + slack)
    gone[rest[np.where(fits if fits.any() else reach, scores[rest], np.inf).argmin()]] = True
    return gone


def _program(scores: Floats, costs: Floats, target: float, slack: float) -> Mask | None:
    """The best that HiGHS finds, without an upper limit where no plan fits; None if it takes too long."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # takes a second

    start = monotonic()
    for upper in (target + slack, np.inf):
        found = milp(
            scores,
            integrality=np.ones(len(scores)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(costs[None, :], target - 1e-9, upper),
            options={"time_limit": max(SECONDS - (monotonic() - start), 0.0)},
        )
        if found.status == 1:  # out of time
            return None
        if found.x is not None:
            return np.asarray(found.x > 0.5)
    return None


def _gap(scores: Floats, gone: Mask, bound: float) -> float:
    """How far above ``bound`` the summed score is, as a share of itself."""
    total = scores[gone].sum()
    return float((total - bound) / total) if total > 0 else 0.0


def _near(gone: Mask, gap: float) -> Mask:
    if gap > GOOD:
        raise Refusal(
            f"budget=knapsack found no good plan of {len(gone)} elements in {SECONDS:.0f} s: its score is "
            f"up to {gap:.1%} above the best; use budget=global, or a larger budget.slack"
        )
    if gap > PROVEN and processes.first():
        print(f"knapsack: the plan's score is within {gap:.2%} of the best", file=sys.stderr, flush=True)
    return gone
