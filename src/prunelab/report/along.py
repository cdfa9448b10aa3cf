"""Pictures of what lies along a network: a place per unit, in the order in which data run through them."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH, HEIGHT, DPI = 9.0, 3.2, 110
MOST_NAMES = 40  # at the axis; beyond that every second, third, ... unit is named


@dataclass(frozen=True)
class Place:
    """A unit on the way: its name, what kind it is, and a value with the band around it."""

    name: str
    kind: str
    low: float
    middle: float
    high: float


def bars(title: str, y_label: str, places: Sequence[Place]) -> bytes:
    """A PNG file of a bar up to ``middle`` for every place, coloured by kind."""
    figure, axes = _panel(title, y_label, places)
    for colour, kind, numbers in _coloured(places):
        axes.bar(numbers, [places[number].middle for number in numbers], width=0.9, color=colour, label=kind)
    return _png(figure, axes)


def bands(title: str, y_label: str, places: Sequence[Place]) -> bytes:
    """A PNG file of a dot at ``middle`` and a line from ``low`` to ``high`` for every place."""
    figure, axes = _panel(title, y_label, places)
    for colour, kind, numbers in _coloured(places):
        own = [places[number] for number in numbers]
        axes.vlines(
            numbers, [one.low for one in own], [one.high for one in own], color=colour, alpha=0.45, lw=2.5
        )
        axes.plot(numbers, [one.middle for one in own], "o", ms=3, color=colour, label=kind)
    return _png(figure, axes)


def _panel(title: str, y_label: str, places: Sequence[Place]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    axes.set_ylabel(y_label)
    named = range(0, len(places), 1 + (len(places) - 1) // MOST_NAMES)
    axes.set_xticks(list(named), [places[number].name for number in named], rotation=90, fontsize=6)
    axes.set_xlim(-0.7, len(places) - 0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _coloured(places: Sequence[Place]) -> Iterator[tuple[Any, str, list[int]]]:
    """Every kind with a colour and the numbers of its places."""
    colours = colormaps["tab20"]([*range(0, 20, 2), *range(1, 20, 2)])
    for colour, kind in zip(colours, dict.fromkeys(place.kind for place in places), strict=False):
        yield colour, kind, [number for number, place in enumerate(places) if place.kind == kind]


def _png(figure: Figure, axes: Axes) -> bytes:
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
