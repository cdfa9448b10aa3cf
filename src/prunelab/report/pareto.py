"""Pareto plots: quality against what is left of the pruned components, and the front that nothing beats."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from prunelab.report.comparable import comparable
from prunelab.report.labels import label, text, varying
from prunelab.report.schema import Row
from prunelab.report.speed import latency_of_dense
from prunelab.report.summary import Group, Spread, over_seeds
from prunelab.report.titles import main_metrics, quantity, titled

COSTS = {"nonzeros": "non-zero parameters", "macs": "multiply-accumulates", "latency": "latency"}
COUNTED = ("nonzeros", "macs")
FULL = 100.0  # per cent: where the dense model lies on every axis of cost


@dataclass(frozen=True)
class Point:
    """A method at one sparsity: its mean over seeds, and an interval.

    method: what tells it from other methods, of which ``scorer`` is the first part; left: per cent of the
    dense model's, by name of the cost. control: whether it is there to be beaten.
    """

    method: str
    scorer: str
    state: str
    requested: str
    left: Mapping[str, float]
    quality: float
    low: float
    high: float
    seeds: int = 1
    control: bool = False

    @property
    def known(self) -> bool:
        """Whether the interval says anything: that of one seed and one set of samples is a point."""
        return self.low < self.high

    def apart(self, other: "Point") -> bool:
        """Whether the intervals do not overlap."""
        return self.high < other.low or other.high < self.low


@dataclass(frozen=True)
class Pareto:
    """The points of one metric; ``dense``: the dense model's value, None where it has none.

    name: what tells these rows from others that do not compare with them; empty where there are none.
    """

    title: str
    unit: str
    better: str
    points: tuple[Point, ...]
    dense: float | None
    name: str = ""

    @property
    def costs(self) -> tuple[str, ...]:
        """The costs that were measured of any point."""
        return tuple(cost for cost in COSTS if any(cost in point.left for point in self.points))

    def front(self, cost: str) -> list[tuple[float, float]]:
        """Cost and quality of what no other model beats, the dense one among them, cheapest first."""
        found = [(point.left[cost], point.quality) for point in self.points if cost in point.left]
        dense = [] if self.dense is None else [(FULL, self.dense)]
        return front([*found, *dense], self.better)


def front(points: Sequence[tuple[float, float]], better: str) -> list[tuple[float, float]]:
    """The points (cost, quality) that no other beats, cheapest first, each place once.

    One beats another if it is at least as cheap and at least as good and differs from it. ``better``:
    whether lower or higher quality is.
    """
    sign = -1 if better == "higher" else 1
    kept: list[tuple[float, float]] = []
    for cost, value in sorted(points, key=lambda point: (point[0], sign * point[1])):
        if not kept or sign * value < sign * kept[-1][1]:
            kept.append((cost, value))
    return kept


def paretos(rows: Sequence[Row]) -> list[Pareto]:
    """A plot per main metric and set of comparable rows; empty unless there are two choices to compare.

    Costs are of all components that any of the rows pruned, together, so that methods that prune other
    components than each other lie on one axis; latency is the denoiser's.
    """
    sets = comparable(rows)
    return [plot for own in sets for plot in _of_set(own.rows, own.name) if len(plot.points) > 1]


def _of_set(rows: Sequence[Row], name: str) -> Iterator[Pareto]:
    dense = next((row for row in rows if row["state"] == "dense"), None)
    places = {(method, text(group.rows[0], "requested")) for method, group in methods(rows)}
    if dense is None or len(places) < 2:
        return
    for metric in main_metrics(rows):
        kind, found = quantity(rows, metric), tuple(points(rows, metric, Group.interval))
        value = dense["metrics"].get(metric, {}).get("value")
        scaled = None if value is None else value * kind.scale
        yield Pareto(titled(kind), kind.shown_unit, kind.better, found, scaled, name)


def methods(rows: Sequence[Row]) -> list[tuple[str, Group]]:
    """The rows over seeds but the dense ones, each group after its method.

    That is those of its choices (but sparsity and seed) that differ, the scorer first.
    """
    fields = [field for field in varying(rows) if field not in ("requested", "seed", "scorer")]
    named = []
    for group in over_seeds(rows):
        if group.state == "dense":
            continue
        words = (text(group.rows[0], "scorer"), label(group.rows[0], fields), group.repeat)
        named.append((" · ".join(filter(None, words)), group))
    return named


def points(rows: Sequence[Row], metric: str, interval: Callable[[Group, str], Spread | None]) -> list[Point]:
    """Every method at every sparsity in every state but the dense one, where the metric is defined.

    interval: what of a group's seeds is between ``low`` and ``high``.
    """
    dense = next((row for row in rows if row["state"] == "dense"), None)
    seen = touched(rows, dense) if dense else ()
    scale, found = quantity(rows, metric).scale, []
    for method, group in methods(rows):
        spread, first = interval(group, metric), group.rows[0]
        if spread is not None:
            costs = {cost: left_of(group, dense, cost, seen) for cost in COSTS} if dense else {}
            left = {cost: share for cost, share in costs.items() if share is not None}
            value, low, high = (scale * number for number in spread)
            who = (method, text(first, "scorer"), group.state, text(first, "requested"), left)
            found.append(Point(*who, value, low, high, len(group.rows), bool(first.get("control"))))
    return found


def touched(rows: Sequence[Row], dense: Row) -> tuple[str, ...]:
    """The components from which something was removed: training moves zeros too, so pruned rows are asked."""
    base = dense["cost"]["components"]
    pruned = [row["cost"]["components"] for row in rows if row["state"] == "pruned"]
    changed = [name for name in base if any(_counts(row.get(name)) != _counts(base[name]) for row in pruned)]
    return tuple(changed or base)


def _counts(cost: Mapping[str, int] | None) -> list[int] | None:
    return None if cost is None else [cost[name] for name in ("parameters", *COUNTED)]


def left_of(group: Group, dense: Row, cost: str, seen: Sequence[str]) -> float | None:
    """Per cent of the dense model's ``cost`` in the components ``seen``; None where it was not measured."""
    shares = [_left(row, dense, cost, seen) for row in group.rows]
    known = [share for share in shares if share is not None]
    return fmean(known) if known else None


def _left(row: Row, dense: Row, cost: str, seen: Sequence[str]) -> float | None:
    if cost == "latency":
        return _time_left(row, dense)
    single = row["sparsity"].get("nominal") is not None
    # Zeros that training leaves by chance are no removal: they would make one of two equal shapes cheaper.
    counted = "parameters" if cost == "nonzeros" and not single else cost
    own, base = (
        [one["cost"]["components"].get(name, {}).get(counted, 0) for name in seen] for one in (row, dense)
    )
    return FULL * sum(own) / sum(base) if sum(base) else None


def _time_left(row: Row, dense: Row) -> float | None:
    """Of the first setting that both were timed in, so the smallest batch."""
    own, base = row["cost"]["latency_ms"], latency_of_dense(row, dense)
    shared = next((name for name in base if name in own and base[name]["median"]), None)
    return None if shared is None else FULL * own[shared]["median"] / base[shared]["median"]
