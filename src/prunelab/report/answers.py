"""The answer: at equal sparsity, or equal cost, the best method and those that cannot be told from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prunelab.core.quantities import Quantity
from prunelab.report.labels import text
from prunelab.report.methods import methods
from prunelab.report.pareto import COSTS, left_of, touched
from prunelab.report.schema import Row
from prunelab.report.summary import Group, over_seeds
from prunelab.report.titles import quantity

CLOSE = 3.0  # per cent of the dense model's: costs that lie within are equal
FINISHED, UNTRAINED, SCRATCH = "recovered", "pruned", "scratch"


@dataclass(frozen=True)
class Contender:
    """A method at one sparsity: its mean over seeds, and its interval.

    low, high: from the lowest end of its seeds' own intervals to the highest. control: whether it is there
    to be beaten. left: per cent of the dense model's, by cost.
    """

    method: str
    state: str
    requested: str
    value: float
    low: float
    high: float
    seeds: int
    control: bool
    left: Mapping[str, float]

    @property
    def known(self) -> bool:
        """Whether the interval says anything: that of one seed and one set of samples is a point."""
        return self.low < self.high

    def apart(self, other: "Contender") -> bool:
        """Whether the intervals do not overlap."""
        return self.high < other.low or other.high < self.low


@dataclass(frozen=True)
class Answer:
    """What is best in one place: at a sparsity, or at a cost.

    tied: those that cannot be told apart from the best; unknown: those of which that cannot be said, as
    they, or the best, have no interval. scratch: the best one's shape trained from nothing.
    """

    where: str
    kind: Quantity
    best: Contender
    tied: tuple[Contender, ...]
    unknown: tuple[Contender, ...]
    controls: tuple[Contender, ...]
    scratch: Contender | None
    dense: float | None
    contenders: int

    @property
    def everyone(self) -> tuple[Contender, ...]:
        """All that are named beside each other."""
        named = (self.best, *self.tied, *self.unknown, *self.controls)
        return named if self.scratch is None else (*named, self.scratch)

    def standing(self, other: Contender) -> str:
        """How ``other`` stands to the best."""
        if other in self.unknown:
            return "no interval"
        return "not told apart" if other in self.tied else "worse"


def answers(rows: Sequence[Row], metric: str, state: str) -> list[Answer]:
    """An answer for every sparsity that was asked for, the lowest first; ``rows`` are comparable."""
    found = contenders(rows, metric)
    places: dict[str, list[Contender]] = {}
    for one in sorted(found, key=_asked):
        places.setdefault(one.requested, []).append(one)
    return list(_answers(places, rows, metric, state))


def matched(rows: Sequence[Row], metric: str, state: str, cost: str) -> list[Answer]:
    """An answer for every cost that models of two methods share, within ``CLOSE``; the dearest first."""
    known = [one for one in contenders(rows, metric) if cost in one.left]
    places: dict[str, list[Contender]] = {}
    for group in _close([one for one in known if one.state == state], cost):
        if len({one.method for one in group}) > 1:
            costs = [one.left[cost] for one in group]
            shapes = {(one.method, one.requested) for one in group}
            scratch = [one for one in known if one.state == SCRATCH and (one.method, one.requested) in shapes]
            places[_between(min(costs), max(costs))] = [*group, *scratch]
    return list(_answers(places, rows, metric, state))


def _close(found: Sequence[Contender], cost: str) -> Iterator[list[Contender]]:
    """Groups no wider than ``CLOSE``, each begun by the dearest that is left."""
    group: list[Contender] = []
    for one in sorted(found, key=lambda each: -each.left[cost]):
        if group and group[0].left[cost] - one.left[cost] > CLOSE:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _between(low: float, high: float) -> str:
    first, last = f"{low:.0f}", f"{high:.0f}"
    return f"{first} %" if first == last else f"{first}\N{EN DASH}{last} %"


def _answers(
    places: Mapping[str, Sequence[Contender]], rows: Sequence[Row], metric: str, state: str
) -> Iterator[Answer]:
    kind = quantity(rows, metric)
    values = (row["metrics"].get(metric, {}).get("value") for row in rows if row["state"] == "dense")
    dense = next((value * kind.scale for value in values if value is not None), None)
    for where, members in places.items():
        ranked = [one for one in members if one.state == state]
        if ranked:
            yield _answer(where, kind, ranked, [one for one in members if one.state == SCRATCH], dense)


def _answer(
    where: str, kind: Quantity, ranked: Sequence[Contender], shapes: Sequence[Contender], dense: float | None
) -> Answer:
    sign = -1 if kind.better == "higher" else 1
    best, *others = sorted(ranked, key=lambda one: sign * one.value)
    unknown = tuple(one for one in others if not (best.known and one.known) and one.value != best.value)
    tied = tuple(one for one in others if one not in unknown and not best.apart(one))
    controls = tuple(one for one in (best, *others) if one.control)
    scratch = next(
        (one for one in shapes if (one.method, one.requested) == (best.method, best.requested)), None
    )
    return Answer(where, kind, best, tied, unknown, controls, scratch, dense, len(ranked))


def contenders(rows: Sequence[Row], metric: str) -> list[Contender]:
    """Every method at every sparsity in every state but the dense one, where the metric is defined."""
    dense = next((row for row in rows if row["state"] == "dense"), None)
    groups = [group for group in over_seeds(rows) if group.state != "dense"]
    seen = touched(rows, dense) if dense else ()
    made = (_contender(group, method, rows, metric, dense, seen) for method, group in methods(groups, rows))
    return [one for one in made if one is not None]


def _contender(
    group: Group, method: str, rows: Sequence[Row], metric: str, dense: Row | None, seen: Sequence[str]
) -> Contender | None:
    whole = group.hull(metric)
    if whole is None:
        return None
    scale, first = quantity(rows, metric).scale, group.rows[0]
    value, low, high = (scale * number for number in whole)
    costs = {cost: left_of(group, dense, cost, seen) for cost in COSTS} if dense else {}
    left = {cost: share for cost, share in costs.items() if share is not None}
    control = bool(first.get("control"))
    asked = text(first, "requested")
    return Contender(method, group.state, asked, value, low, high, len(group.rows), control, left)


def _asked(one: Contender) -> tuple[float, str]:
    """By the first number in it, so that 5 % comes before 10 %."""
    words = [word for word in one.requested.split() if word.replace(".", "", 1).isdigit()]
    return (float(words[0]) if words else 0.0, one.requested)


def states_of(rows: Sequence[Row]) -> list[str]:
    """The states in which methods are ranked, the finished one first."""
    there = {row["state"] for row in rows}
    return [state for state in (FINISHED, UNTRAINED) if state in there]
