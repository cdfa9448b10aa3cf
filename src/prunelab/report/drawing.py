"""Drawings for the page: SVG elements whose colours are the page's, on light and on dark screens."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

COLOURS = 8
WIDTH, HEIGHT = 4.4, 3.3  # inches of 72 units: a phone shows a drawing at its size, so its words too
SMALLEST = 11  # units, of any words
# Shares of the drawing: finding them anew takes as long as all the rest.
MARGINS = {"left": 0.14, "right": 0.95, "bottom": 0.16, "top": 0.9}
# Colours that stand for those of the page, which knows whether it is light or dark.
INK, GRID, PAPER = "#0a0b0c", "#0a0b0d", "#0a0b0e"
SERIES = tuple(f"#0a0c{number:02x}" for number in range(COLOURS))
STROKES: dict[str, Any] = {
    "recovered": "-",
    "pruned": (0, (4, 2)),
    "scratch": (0, (1, 1.5)),
    "dense": (0, (6, 2, 1, 2)),
}


@dataclass
class Drawing:
    """A figure under way: what is drawn on, and what became of it when it is done."""

    axes: Axes
    document: str = ""

    def element(self, name: str, told: str) -> str:
        """The ``<svg>`` element for an HTML page; ``name`` keeps its ids apart from others'.

        told: the same in words, for who does not see it. Colours are CSS variables of the page: ``--ink``,
        ``--grid``, ``--paper`` and ``--series-0`` to ``--series-7``.
        """
        spoken = f'<svg role="img" aria-label="{escape(told)}"'
        return _for_page(self.document, name).replace("<svg", spoken, 1)


@contextmanager
def figure() -> Iterator[Drawing]:
    """A figure as wide as a phone; after the context, the drawing holds what was drawn on its axes."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "prunelab", "font.size": SMALLEST}):
        drawn = Figure(figsize=(WIDTH, HEIGHT))
        axes = drawn.subplots(gridspec_kw=MARGINS)
        drawing = Drawing(axes)
        yield drawing
        for words in (*axes.get_children(), axes.xaxis.label, axes.yaxis.label):
            if isinstance(words, Text):
                words.set_parse_math(False)  # a dollar is a dollar
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawn.savefig(buffer, format="svg", transparent=True, metadata=nothing)
        drawing.document = buffer.getvalue()


def dress(axes: Axes, x_label: str) -> None:
    """The look that all panels share."""
    axes.set_xlabel(x_label, color=INK)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.12)
    axes.tick_params(which="both", color=GRID, labelcolor=INK, length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(5))
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)


def _for_page(document: str, name: str) -> str:
    """Matplotlib's SVG document as an element: no prologue, page colours, ids of its own."""
    element = document[document.index("<svg") :]
    element = re.sub(r' xmlns(:\w+)?="[^"]*"', "", element)
    element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", element)
    element = re.sub(
        r'(<svg\b[^>]*?) width="[^"]*"', r"\1", re.sub(r' height="[\d.]+pt"', "", element, count=1)
    )
    variables = {INK: "var(--ink)", GRID: "var(--grid)", PAPER: "var(--paper)"}
    variables |= {colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)}
    for colour, variable in variables.items():
        element = element.replace(colour, variable)
    return element
