"""Ranking elements and taking them, lowest first, until a target cost is reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.protocols import Ledger
from prunelab.core.scores import Scores, keep_all
from prunelab.core.units import Unit

Currency = Literal["elements", "parameters", "macs", "latency"]
Rank = Literal["score", "score_per_cost"]
# A last piece may be taken out of turn when it lands this close to the target (share of the component).
CLOSE = 0.005


@dataclass(frozen=True)
class Candidate:
    """One element that could go: sorted by key, ties by unit name and index."""

    key: float
    unit: str
    index: int
    cost: float


def candidates(scores: Scores, units: Sequence[Unit], ledger: Ledger, rank: str) -> list[Candidate]:
    """Every element, lowest key first. An element that costs nothing never goes under score_per_cost."""
    found = []
    for unit in units:
        if unit.matrix is not None:
            raise Refusal(
                f"{unit.granularity} units are single weights, too many to be ranked one by one: "
                "use budget=groups, n_of_m or owl"
            )
        cost = ledger.cost(unit)
        for index, score in enumerate(scores[unit.name].tolist()):
            if rank == "score" or cost > 0:
                key = score if rank == "score" else score / cost
                found.append(Candidate(key, unit.name, index, cost))
    return sorted(found, key=lambda each: (each.key, each.unit, each.index))


def take(ranked: Sequence[Candidate], target: float, slack: float) -> list[Candidate]:
    """The lowest-ranked elements whose cost comes nearest to ``target``.

    Elements go in order until one would overshoot. Then one more may go: the first in order that lands
    within ``slack`` of the target, else the one in turn when overshooting is nearer than stopping.
    """
    taken: list[Candidate] = []
    spent = 0.0
    for position, each in enumerate(ranked):
        if spent + each.cost > target + 1e-9:
            return taken + _last(ranked[position:], target - spent, slack)
        taken.append(each)
        spent += each.cost
    return taken


def _last(rest: Sequence[Candidate], missing: float, slack: float) -> list[Candidate]:
    if missing <= slack:
        return []
    fitting = [each for each in rest if abs(missing - each.cost) <= slack]
    if fitting:
        return fitting[:1]
    return [rest[0]] if rest[0].cost - missing < missing else []


def as_plan(units: Sequence[Unit], gone: Sequence[Candidate]) -> dict[str, Tensor]:
    """Keep-masks per unit without the elements in ``gone``."""
    plan = keep_all(units)
    for each in gone:
        plan[each.unit][each.index] = False
    return plan


def share(sparsity: object, component: str) -> float:
    """The share asked of one component: a number for all, or a mapping (a component left out keeps all)."""
    asked = sparsity.get(component, 0.0) if hasattr(sparsity, "get") else sparsity
    if not isinstance(asked, int | float) or isinstance(asked, bool) or not 0 <= asked < 1:
        raise Refusal(f"sparsity={asked!r} of {component} is not a share in [0, 1): 0.3 removes 30 %")
    return float(asked)


def check_free(units: Sequence[Unit], budget: str) -> None:
    """Refuse units whose elements cannot go one by one under a ranking over all of them."""
    bound = [unit for unit in units if unit.runs]
    if bound:
        raise Refusal(
            f"budget={budget} ranks all elements together, but {bound[0].granularity} units have to keep "
            "equally many in each run (norm groups, heads): use budget=uniform"
        )


def check_separate(units: Sequence[Unit], of: str) -> None:
    """Refuse to add up parameters or MACs of units that share them."""
    wired = [unit for unit in units if unit.runs]
    if wired and of != "elements":
        raise Refusal(
            f"budget.of={of} cannot be added up over {wired[0].granularity} units: the rows of one are "
            "columns of another; use budget.of=elements, parameters or macs"
        )


def check_reach(
    units: Sequence[Unit], ledger: Ledger, target: float, total: float, of: str, what: str
) -> None:
    """Refuse a target that the units cannot give, with the share that they can."""
    held = sum(ledger.cost(unit) * unit.elements for unit in units)
    if held < target * (1 - 1e-9):
        kinds = "/".join(sorted({unit.granularity for unit in units}))
        most = int(held / total * 100) / 100
        raise Refusal(
            f"sparsity={target / total:.3g} of {what}'s {of} cannot be met: its {kinds} units hold "
            f"{held / total:.1%} of them; ask for at most sparsity={most} or choose another granularity"
        )
