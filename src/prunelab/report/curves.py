"""Curves: their data, the metric-against-sparsity ones of a sweep, and their drawing as SVG."""

import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prunelab.report.labels import label, text, varying
from prunelab.report.quantities import quantity, titled
from prunelab.report.schema import ACHIEVED, Row

AXES = ("x", "y", "low", "high")
COLOURS = 8
# Colours that stand for those of the page, which knows whether it is light or dark.
INK, GRID = "#0a0b0c", "#0a0b0d"
SERIES = tuple(f"#0a0c{number:02x}" for number in range(COLOURS))
STROKES: dict[str, Any] = {
    "recovered": "-",
    "pruned": (0, (4, 2)),
    "scratch": (0, (1, 1.5)),
    "dense": (0, (6, 2, 1, 2)),
}


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
    names = dict.fromkeys(name for row in rows for name in row["metrics"])
    curves = (_sparsity_curve(name, of, models, rows) for name in names)
    return [curve for curve in curves if curve.lines]


def legend(curve: Curve) -> tuple[LegendEntry, ...]:
    """What the lines of a panel are, in their order."""
    families = list(dict.fromkeys(line.family or line.label for line in curve.lines))
    return tuple(
        LegendEntry(line.label, families.index(line.family or line.label) % COLOURS, line.state)
        for line in curve.lines
    )


def svg(curve: Curve, number: int) -> str:
    """The panel as an ``<svg>`` element for an HTML page; ``number`` keeps its ids apart from others'.

    Colours are CSS variables of the page: ``--ink``, ``--grid`` and ``--series-0`` to ``--series-7``.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "prunelab", "font.size": 9}):
        figure = Figure(figsize=(4.2, 2.9), layout="constrained")
        _draw(figure.add_subplot(), curve)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _for_page(buffer.getvalue(), number)


def as_json(curve: Curve) -> dict[str, Any]:
    """The panel's data as ``report.json`` holds them."""
    lines = [{**vars(line), **{axis: list(getattr(line, axis)) for axis in AXES}} for line in curve.lines]
    return {**vars(curve), "lines": lines}


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
    lines = [_line(name, of, key, members) for key, members in groups.items()]
    kind = quantity(name)
    dense = [row["metrics"].get(name, {}).get("value") for row in rows if row["state"] == "dense"]
    level = dense[0] if len(set(dense)) == 1 else None
    return Curve(titled(name), f"{of} removed, %", kind.unit, lines, level)


def _line(name: str, of: str, key: tuple[str, str], members: Sequence[Row]) -> Line:
    """A point per requested sparsity: the mean over seeds; the interval of the only one, or their range."""
    points: dict[str, list[Row]] = defaultdict(list)
    for row in members:
        points[text(row, "requested")].append(row)
    drawn = sorted(_point(name, of, group) for group in points.values())
    x, y, low, high = zip(*drawn, strict=True)
    family, state = key
    return Line(f"{family}, {state}", x, y, low, high, family, state)


def _point(name: str, of: str, group: Sequence[Row]) -> tuple[float, float, float, float]:
    estimates: list[Mapping[str, float]] = [row["metrics"][name] for row in group]
    values = [estimate["value"] for estimate in estimates]
    lows, highs = ([estimate[side] for estimate in estimates] for side in ("low", "high"))
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
    _dress(axes, curve)


def _draw_level(axes: Axes, curve: Curve, level: float) -> None:
    """The horizontal line, its name on the side where the lines are not."""
    points = [y for line in curve.lines for y in line.y]
    below = bool(points) and fmean(points) > level
    axes.axhline(level, color=INK, linewidth=1, linestyle=STROKES["dense"])
    axes.annotate(
        curve.level_label, (1, level), xycoords=("axes fraction", "data"), textcoords="offset points",
        xytext=(-2, -3 if below else 3), va="top" if below else "bottom", ha="right", color=INK,
    )  # fmt: skip


def _dress(axes: Axes, curve: Curve) -> None:
    axes.set_title(curve.title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(curve.x_label, color=INK)
    axes.set_ylabel(curve.y_label, color=INK)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.12)
    axes.tick_params(color=GRID, labelcolor=INK, length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)


def _for_page(document: str, number: int) -> str:
    """Matplotlib's SVG document as an element: no prologue, page colours, ids of its own."""
    element = document[document.index("<svg") :]
    element = re.sub(r' xmlns(:\w+)?="[^"]*"', "", element)
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>c{number}-", element)
    element = re.sub(
        r'(<svg\b[^>]*?) width="[^"]*"', r"\1", re.sub(r' height="[\d.]+pt"', "", element, count=1)
    )
    variables = {INK: "var(--ink)", GRID: "var(--grid)"}
    variables |= {colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)}
    for colour, variable in variables.items():
        element = element.replace(colour, variable)
    return element
