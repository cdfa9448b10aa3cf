"""The answer: at equal sparsity, or equal cost, the best method and those that cannot be told from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prunelab.report.pareto import Point, points
from prunelab.report.schema import Row
from prunelab.report.summary import Group
from prunelab.report.titles import quantity

CLOSE = 3.0  # per cent of the dense model's: costs that lie within are equal
FINISHED, UNTRAINED, SCRATCH = "recovered", "pruned", "scratch"


@dataclass(frozen=True)
class Answer:
    """What is best in one place: at a sparsity, or at a cost.

    tied: those that cannot be told apart from the best; unknown: those of which that cannot be said, as
    they, or the best, have no interval. scratch: the best one's shape trained from nothing.
    """

    where: str
    best: Point
    tied: tuple[Point, ...]
    unknown: tuple[Point, ...]
    controls: tuple[Point, ...]
    scratch: Point | None
    dense: float | None
    contenders: int

    @property
    def everyone(self) -> tuple[Point, ...]:
        """All that are named beside each other."""
        named = (self.best, *self.tied, *self.unknown, *self.controls)
        return named if self.scratch is None else (*named, self.scratch)

    def standing(self, other: Point) -> str:
        """How ``other`` stands to the best."""
        if other in self.unknown:
            return "no interval"
        return "not told apart" if other in self.tied else "worse"


def answers(rows: Sequence[Row], metric: str, state: str) -> list[Answer]:
    """An answer for every sparsity that was asked for, the lowest first; ``rows`` are comparable."""
    places: dict[str, list[Point]] = {}
    for one in sorted(points(rows, metric, Group.hull), key=_asked):
        places.setdefault(one.requested, []).append(one)
    return _answers(places, rows, metric, state)


def matched(rows: Sequence[Row], metric: str, state: str, cost: str) -> list[Answer]:
    """An answer for every cost that models of two methods share, within ``CLOSE``; the dearest first."""
    known = [one for one in points(rows, metric, Group.hull) if cost in one.left]
    places: dict[str, list[Point]] = {}
    for group in _close([one for one in known if one.state == state], cost):
        if len({one.method for one in group}) > 1:
            costs = [one.left[cost] for one in group]
            scratch = [one for one in known if one.state == SCRATCH]
            places[_between(min(costs), max(costs))] = [*group, *scratch]
    return _answers(places, rows, metric, state)


def _close(found: Sequence[Point], cost: str) -> Iterator[list[Point]]:
    """Groups no wider than ``CLOSE``, each begun by the dearest that is left."""
    group: list[Point] = []
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
    places: Mapping[str, Sequence[Point]], rows: Sequence[Row], metric: str, state: str
) -> list[Answer]:
    kind = quantity(rows, metric)
    values = (row["metrics"].get(metric, {}).get("value") for row in rows if row["state"] == "dense")
    dense = next((value * kind.scale for value in values if value is not None), None)
    sign = -1 if kind.better == "higher" else 1
    found = []
    for where, there in places.items():
        ranked = sorted((one for one in there if one.state == state), key=lambda one: sign * one.quality)
        if ranked:
            found.append(_answer(where, ranked, [one for one in there if one.state == SCRATCH], dense))
    return found


def _answer(where: str, ranked: Sequence[Point], shapes: Sequence[Point], dense: float | None) -> Answer:
    best, *others = ranked
    asked = (best.method, best.requested)
    unknown = tuple(one for one in others if not (best.known and one.known) and one.quality != best.quality)
    tied = tuple(one for one in others if one not in unknown and not best.apart(one))
    controls = tuple(one for one in ranked if one.control)
    scratch = next((one for one in shapes if (one.method, one.requested) == asked), None)
    return Answer(where, best, tied, unknown, controls, scratch, dense, len(ranked))


def _asked(one: Point) -> tuple[float, str]:
    """By the first number in it, so that 5 % comes before 10 %."""
    words = [word for word in one.requested.split() if word.replace(".", "", 1).isdigit()]
    return (float(words[0]) if words else 0.0, one.requested)


def states_of(rows: Sequence[Row]) -> list[str]:
    """The states in which methods are ranked, the finished one first."""
    there = {row["state"] for row in rows}
    return [state for state in (FINISHED, UNTRAINED) if state in there]
