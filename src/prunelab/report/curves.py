"""Curves: their data, the metric-against-sparsity ones of a sweep, and their drawing as SVG."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes

from prunelab.report.drawing import COLOURS, INK, SERIES, SMALLEST, STROKES, dress, figure
from prunelab.report.labels import label, text, varying
from prunelab.report.schema import ACHIEVED, Row
from prunelab.report.titles import metrics_of, quantity, titled

AXES = ("x", "y", "low", "high")
TOLD = 12  # lines of a panel that are said in words


@dataclass(frozen=True)
class Line:
    """One line: ``y`` over ``x``, with ``low`` and ``high`` of a band around it where they are given.

    family: lines of one family share a colour; the label where it is empty. state: decides the stroke.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    family: str = ""
    state: str = "recovered"


@dataclass(frozen=True)
class Curve:
    """One panel of lines. ``level`` is a horizontal line across it, named by ``level_label``."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line] = field(default_factory=tuple)
    level: float | None = None
    level_label: str = "dense"


@dataclass(frozen=True)
class LegendEntry:
    """A line's label, the number of its colour and its state."""

    label: str
    colour: int
    state: str


def sparsity_curves(rows: Sequence[Row]) -> list[Curve]:
    """Every metric against the achieved sparsity, a line per scorer and state (and what else varies).

    Seeds are averaged, the band is their smallest and largest. Empty unless there are two sparsities.
    """
    of = _removed_of(rows)
    models = [row for row in rows if row["state"] != "dense" and row["sparsity"][of] is not None]
    if len({text(row, "requested") for row in models}) < 2:
        return []
    curves = (_sparsity_curve(name, of, models, rows) for name in metrics_of(rows))
    return [curve for curve in curves if curve.lines]


def legend(curve: Curve) -> tuple[LegendEntry, ...]:
    """What the lines of a panel are, in their order."""
    families = list(dict.fromkeys(line.family or line.label for line in curve.lines))
    return tuple(
        LegendEntry(line.label, families.index(line.family or line.label) % COLOURS, line.state)
        for line in curve.lines
    )


def svg(curve: Curve, name: str) -> str:
    """The panel as an ``<svg>`` element for an HTML page; ``name`` keeps its ids apart from others'.

    Colours are CSS variables of the page: ``--ink``, ``--grid`` and ``--series-0`` to ``--series-7``.
    """
    with figure() as drawn:
        _draw(drawn.axes, curve)
    return drawn.element(name, told(curve))


def told(curve: Curve) -> str:
    """The panel in words: where its lines begin and end."""
    lines = [f"{line.label} {line.y[0]:.4g} to {line.y[-1]:.4g}" for line in curve.lines if len(line.y)]
    level = [] if curve.level is None else [f"{curve.level_label} {curve.level:.4g}"]
    words = "; ".join([*lines[:TOLD], *level])
    return f"{curve.title} against {curve.x_label}, from the first point to the last: {words}."


def as_json(curve: Curve) -> dict[str, Any]:
    """The panel's data as ``report.json`` holds them."""
    lines = [{**vars(line), **{axis: list(getattr(line, axis)) for axis in AXES}} for line in curve.lines]
    return {**vars(curve), "lines": lines}


def from_json(said: Mapping[str, Any]) -> Curve:
    """What ``as_json`` made, of a report that was read."""
    return Curve(**{**said, "lines": [Line(**line) for line in said["lines"]]})


def _removed_of(rows: Sequence[Row]) -> str:
    """The achieved sparsity that the curves run over: of what was asked for, where all rows agree."""
    asked = {row["sparsity"]["of"] for row in rows if row["state"] != "dense"}
    of = asked.pop() if len(asked) == 1 else None
    return of if of in ACHIEVED else "parameters"


def _sparsity_curve(name: str, of: str, models: Sequence[Row], rows: Sequence[Row]) -> Curve:
    fields = [other for other in varying(models) if other not in ("requested", "seed", "scorer")]
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in models:
        if row["metrics"].get(name, {}).get("value") is not None:
            family = " · ".join(filter(None, (row["scorer"], label(row, fields))))
            groups[family, row["state"]].append(row)
    kind = quantity(rows, name)
    lines = [_line(name, kind.scale, of, key, members) for key, members in groups.items()]
    dense = [row["metrics"].get(name, {}).get("value") for row in rows if row["state"] == "dense"]
    level = dense[0] * kind.scale if len(set(dense)) == 1 and dense[0] is not None else None
    return Curve(titled(kind), f"{of} removed, %", kind.shown_unit, lines, level)


def _line(name: str, scale: float, of: str, key: tuple[str, str], members: Sequence[Row]) -> Line:
    """A point per requested sparsity: the mean over seeds; the interval of the only one, or their range."""
    points: dict[str, list[Row]] = defaultdict(list)
    for row in members:
        points[text(row, "requested")].append(row)
    drawn = sorted(_point(name, scale, of, group) for group in points.values())
    x, y, low, high = zip(*drawn, strict=True)
    family, state = key
    return Line(f"{family}, {state}", x, y, low, high, family, state)


def _point(name: str, scale: float, of: str, group: Sequence[Row]) -> tuple[float, float, float, float]:
    estimates: list[Mapping[str, float]] = [row["metrics"][name] for row in group]
    values, lows, highs = (
        [estimate[side] * scale for estimate in estimates] for side in ("value", "low", "high")
    )
    low, high = (lows[0], highs[0]) if len(group) == 1 else (min(values), max(values))
    return fmean(100 * row["sparsity"][of] for row in group), fmean(values), low, high


def _draw(axes: Axes, curve: Curve) -> None:
    for line, entry in zip(curve.lines, legend(curve), strict=True):
        colour = SERIES[entry.colour]
        filled = colour if line.state == "recovered" else "none"
        marker = "o" if len(line.x) <= 20 else ""
        stroke = STROKES[line.state]
        axes.plot(line.x, line.y, color=colour, linestyle=stroke, marker=marker, ms=4, mfc=filled, lw=1.6)
        if len(line.low):
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.12, linewidth=0)
    if curve.level is not None:
        _draw_level(axes, curve, curve.level)
    title = ", ".join(filter(None, (curve.title, curve.y_label)))
    axes.set_title(title, loc="left", fontsize=SMALLEST, color=INK)
    dress(axes, curve.x_label)


def _draw_level(axes: Axes, curve: Curve, level: float) -> None:
    """The horizontal line, its name on the side where the lines are not."""
    points = [y for line in curve.lines for y in line.y]
    below = bool(points) and fmean(points) > level
    axes.axhline(level, color=INK, linewidth=1, linestyle=STROKES["dense"])
    axes.annotate(
        curve.level_label, (1, level), xycoords=("axes fraction", "data"), textcoords="offset points",
        xytext=(-2, -3 if below else 3), va="top" if below else "bottom", ha="right", color=INK,
    )  # fmt: skip
