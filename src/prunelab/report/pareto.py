"""Pareto plots: quality against what is left of the pruned components, and the front that nothing beats."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from prunelab.core.quantities import Quantity
from prunelab.report.labels import label, text, varying
from prunelab.report.schema import Row
from prunelab.report.summary import Group, over_seeds
from prunelab.report.titles import main_metrics, quantity, titled

COSTS = {"nonzeros": "non-zero parameters", "macs": "multiply-accumulates"}
FULL = 100.0  # per cent: where the dense model lies on every axis of cost


@dataclass(frozen=True)
class Point:
    """A choice of method and sparsity: its mean over seeds.

    method: what tells it from other methods, of which ``scorer`` is the first part; left: per cent of the
    dense model's, by name of the cost. low, high: the spread over seeds, or the interval of the only one.
    """

    method: str
    scorer: str
    state: str
    requested: str
    left: Mapping[str, float]
    quality: float
    low: float
    high: float


@dataclass(frozen=True)
class Pareto:
    """The points of one metric on one model; ``dense``: the dense model's value, None where it has none."""

    title: str
    unit: str
    better: str
    points: tuple[Point, ...]
    dense: float | None

    def front(self, cost: str) -> list[tuple[float, float]]:
        """Cost and quality of what no other model beats, the dense one among them, cheapest first."""
        found = [(point.left[cost], point.quality) for point in self.points]
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
    """A plot per main metric and model; empty unless there are two choices to compare.

    Costs are of all components that any of the rows pruned, together, so that methods that prune other
    components than each other lie on one axis.
    """
    plots: list[Pareto] = []
    models = list(dict.fromkeys((row["task"], row["model"]) for row in rows))
    for task, model in models:
        own = [row for row in rows if (row["task"], row["model"]) == (task, model)]
        name = f"{model}: " if len(models) > 1 else ""
        plots += [plot for plot in _of_model(own, name) if len(plot.points) > 1]
    return plots


def _of_model(rows: Sequence[Row], name: str) -> Iterator[Pareto]:
    dense = next((row for row in rows if row["state"] == "dense"), None)
    groups = [group for group in over_seeds(rows) if group.state != "dense"]
    methods = _methods(groups, rows)
    if dense is None or len({(method, _asked(group)) for method, group in methods}) < 2:
        return
    touched = _touched(rows, dense)
    for metric in main_metrics(rows):
        kind = quantity(rows, metric)
        found = [_point(group, method, metric, kind, dense, touched) for method, group in methods]
        points = tuple(point for point in found if point is not None)
        value = dense["metrics"].get(metric, {}).get("value")
        scaled = None if value is None else value * kind.scale
        yield Pareto(f"{name}{titled(kind)}", kind.shown_unit, kind.better, points, scaled)


def _touched(rows: Sequence[Row], dense: Row) -> tuple[str, ...]:
    """The components from which something was removed: training moves zeros too, so pruned rows are asked."""
    base = dense["cost"]["components"]
    pruned = [row["cost"]["components"] for row in rows if row["state"] == "pruned"]
    changed = [name for name in base if any(_counts(row.get(name)) != _counts(base[name]) for row in pruned)]
    return tuple(changed or base)


def _counts(cost: Mapping[str, int] | None) -> list[int] | None:
    return None if cost is None else [cost[name] for name in ("parameters", *COSTS)]


def _point(
    group: Group, method: str, metric: str, kind: Quantity, dense: Row, touched: Sequence[str]
) -> Point | None:
    spread = group.interval(metric)
    if spread is None:
        return None
    value, low, high = (number * kind.scale for number in spread)
    left = {cost: fmean(_left(row, dense, cost, touched) for row in group.rows) for cost in COSTS}
    scorer = text(group.rows[0], "scorer")
    return Point(method, scorer, group.state, _asked(group), left, value, low, high)


def _left(row: Row, dense: Row, cost: str, touched: Sequence[str]) -> float:
    single = row["sparsity"].get("nominal") is not None
    # Zeros that training leaves by chance are no removal: they would make one of two equal shapes cheaper.
    counted = "parameters" if cost == "nonzeros" and not single else cost
    own, base = ([one["cost"]["components"][name][counted] for name in touched] for one in (row, dense))
    return FULL * sum(own) / sum(base)


def _methods(groups: Sequence[Group], rows: Sequence[Row]) -> list[tuple[str, Group]]:
    """The groups, each after those of its choices (but sparsity and seed) that differ, the scorer first."""
    fields = [field for field in varying(rows) if field not in ("requested", "seed", "scorer")]
    named = []
    for group in groups:
        words = (text(group.rows[0], "scorer"), label(group.rows[0], fields), group.repeat)
        named.append((" · ".join(filter(None, words)), group))
    return named


def _asked(group: Group) -> str:
    return text(group.rows[0], "requested")
