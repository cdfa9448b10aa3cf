"""How Pareto plots are drawn, one per cost: a colour and a shape per method, filled or not by state."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from prunelab.report.drawing import (
    COLOURS,
    HEIGHT,
    INK,
    PAPER,
    SERIES,
    SMALLEST,
    STROKES,
    WIDTH,
    dress,
    figure,
)
from prunelab.report.pareto import COSTS, FULL, Pareto, Point

SHAPES = ("o", "s", "^", "D", "v", "P", "X", "p")
SIZE = 6.5  # points across
SPAN = 4.0  # a metric that is better low and spans more than this ratio is drawn on a logarithmic axis
FAINT = 0.35
LAST = 0.8  # share of the width beyond which a label stands on the left of its point
ROOM = 6.5  # units that a character takes


@dataclass(frozen=True)
class Mark:
    """A method's name, the number of its colour, and its shape as points of a polygon around (0, 0)."""

    label: str
    colour: int
    shape: str

    @property
    def outline(self) -> str:
        """What ``<polygon points>`` takes, 10 units across."""
        style = MarkerStyle(self.shape)
        path = style.get_path().transformed(style.get_transform())
        corners = np.asarray(path.to_polygons()[0])
        return " ".join(f"{10 * x:.1f},{-10 * y:.1f}" for x, y in corners)


def marks(plots: Sequence[Pareto]) -> tuple[Mark, ...]:
    """The methods of all plots: methods of one scorer share a colour, what else differs is the shape.

    Where there is one scorer alone, every method has a colour of its own.
    """
    methods = dict.fromkeys((point.method, point.scorer) for plot in plots for point in plot.points)
    scorers = list(dict.fromkeys(scorer for _, scorer in methods))
    rests = list(dict.fromkeys(method.removeprefix(scorer) for method, scorer in methods))
    found = []
    for number, (method, scorer) in enumerate(methods):
        colour = scorers.index(scorer) if len(scorers) > 1 else number
        shape = SHAPES[rests.index(method.removeprefix(scorer)) % len(SHAPES)]
        found.append(Mark(method, colour % COLOURS, shape))
    return tuple(found)


def scatter(plot: Pareto, cost: str, drawn_as: Sequence[Mark], name: str) -> str:
    """The plot over one cost as an ``<svg>`` element; ``name`` keeps its ids apart from others'."""
    with figure() as drawn:
        _draw(drawn.axes, plot, cost, {mark.label: mark for mark in drawn_as})
        title = f"{plot.title}{plot.unit and f', {plot.unit}'}"
        drawn.axes.set_title(title, loc="left", fontsize=SMALLEST, color=INK)
    return drawn.element(name, f"{title} against {COSTS[cost]} left. {told(plot, cost)}")


def requests(plot: Pareto) -> list[str]:
    """The sparsities that were asked for."""
    return list(dict.fromkeys(point.requested for point in plot.points))


def told(plot: Pareto, cost: str) -> str:
    """The front in words, the cheapest model first."""
    places: dict[tuple[float, float], Point] = {}
    for point in plot.points:
        if cost in point.left:
            places.setdefault((point.left[cost], point.quality), point)
    models = []
    for place in plot.front(cost):
        own = places.get(place)
        name = f"{own.method}, {own.state}, {own.requested}" if own else "dense"
        models.append(f"{name}: {place[1]:.4g}{plot.unit} at {place[0]:.0f} %")
    return f"The front, cheapest first: {'; '.join(models)}."


def _draw(axes: Axes, plot: Pareto, cost: str, drawn_as: dict[str, Mark]) -> None:
    if _logarithmic(plot):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    # A staircase: what the best model of at most this cost reaches.
    x, y = zip(*plot.front(cost), strict=True)
    axes.step([*x, max(FULL, *x)], [*y, y[-1]], where="post", color=INK, linewidth=1.3, alpha=0.75, zorder=2)
    shown = [point for point in plot.points if cost in point.left]
    named = sorted(shown, key=lambda point: (point.method, point.state))
    for (method, state), points in groupby(named, key=lambda point: (point.method, point.state)):
        _draw_points(axes, sorted(points, key=lambda point: point.left[cost]), cost, drawn_as[method], state)
    if plot.dense is not None:
        axes.axhline(plot.dense, color=INK, linewidth=0.8, linestyle=STROKES["dense"], alpha=0.6, zorder=1)
        axes.plot([FULL], [plot.dense], marker="*", ms=12, color=INK, mec=PAPER, zorder=6, clip_on=False)
    dress(axes, f"{COSTS[cost]} left, % of dense")
    low, high = axes.get_xlim()
    axes.set_xlim(low - 0.04 * (high - low), max(high, FULL + 0.03 * (FULL - low)))
    _draw_sparsities(axes, plot, cost)


def _draw_sparsities(axes: Axes, plot: Pareto, cost: str) -> None:
    """How much was asked for, beside the points: those on the front first, others where there is room.

    Nothing where all were asked for the same.
    """
    if len(requests(plot)) == 1:
        return
    best = set(plot.front(cost))
    shown = [point for point in plot.points if cost in point.left and point.state != "scratch"]
    taken: list[tuple[float, float]] = []
    for point in sorted(shown, key=lambda one: (one.left[cost], one.quality) not in best):
        place = (point.left[cost], point.quality)
        x, y = axes.transAxes.inverted().transform(axes.transData.transform(place))
        wide, left = ROOM * len(point.requested), x > LAST
        spot = (72 * WIDTH * x - left * wide, 72 * HEIGHT * y)
        if all(abs(spot[0] - u) > wide or abs(spot[1] - v) > 1.2 * SMALLEST for u, v in taken):
            taken.append(spot)
            axes.annotate(
                point.requested, place, textcoords="offset points", color=INK, zorder=7,
                xytext=(-5 if left else 5, 4), ha="right" if left else "left",
                fontsize=SMALLEST, alpha=0.85,
            )  # fmt: skip


def _logarithmic(plot: Pareto) -> bool:
    """Whether the metric spans magnitudes; what may be 0 or below is never drawn so."""
    values = [point.quality for point in plot.points] + ([] if plot.dense is None else [plot.dense])
    lows = [point.low for point in plot.points]
    return plot.better == "lower" and min(*values, *lows) > 0 and max(values) > SPAN * min(values)


def _draw_points(axes: Axes, points: Sequence[Point], cost: str, mark: Mark, state: str) -> None:
    x, y = ([*values] for values in zip(*((one.left[cost], one.quality) for one in points), strict=True))
    colour, shown = SERIES[mark.colour], state != "scratch"
    below = [max(one.quality - one.low, 0) for one in points]
    above = [max(one.high - one.quality, 0) for one in points]
    axes.plot(x, y, color=colour, lw=0.9, alpha=FAINT, linestyle=STROKES[state], zorder=3)
    axes.errorbar(x, y, [below, above], fmt="none", ecolor=colour, elinewidth=1.1, alpha=0.7, zorder=3)
    axes.plot(
        x, y, color=colour, linestyle="", marker=mark.shape, ms=SIZE if shown else 0.6 * SIZE, mew=1.3,
        mfc=colour if state == "recovered" else PAPER, zorder=5 if state == "recovered" else 4,
    )  # fmt: skip
