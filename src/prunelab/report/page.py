"""``report.html``: one file with everything in it, for light and dark screens."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prunelab.core.image_files import opened_image, png
from prunelab.core.previews import Preview
from prunelab.report.cliff import cliff_table, cliffs
from prunelab.report.curves import Curve, LegendEntry, legend, sparsity_curves, svg
from prunelab.report.pareto import paretos
from prunelab.report.scatter import Mark, marks, scatter
from prunelab.report.schema import Row
from prunelab.report.summary import means
from prunelab.report.tables import components, cost, quality, sparsity

WIDEST = 256  # pixels of a still in the page; the files beside it keep every pixel
TITLE = "title"  # the one entry of the context that the page shows as its heading


@dataclass(frozen=True)
class Sample:
    """A sample's still and, where it has one, the file that is played, as data URIs."""

    still: str
    played: str


@dataclass(frozen=True)
class Grid:
    """Models below each other, the same prompts and seeds beside each other; as images, audio or video."""

    shown_as: str
    captions: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[Sample]]]  # state, label, samples


@dataclass(frozen=True)
class Section:
    """The previews of a medium."""

    heading: str
    grids: Sequence[Grid]


@dataclass(frozen=True)
class Panels:
    """Curves that share a legend."""

    legend: Sequence[LegendEntry]
    drawings: Sequence[Markup]


@dataclass(frozen=True)
class Plots:
    """Pareto plots that share a legend of methods and of states."""

    marks: Sequence[Mark]
    states: Sequence[str]
    drawings: Sequence[Markup]


def render(
    rows: Sequence[Row],
    previews: Sequence[Preview],
    curves: Sequence[Curve],
    context: Mapping[str, object],
) -> str:
    """The page's HTML. It refers to nothing outside itself."""
    environment = Environment(
        loader=PackageLoader("prunelab.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    sweep, found = sparsity_curves(rows), cliffs(rows)
    edges = [cliff_table(found)] if found else []
    summed = means(rows)
    return environment.get_template("page.html.jinja").render(
        title=context.get(TITLE, "prunelab report"),
        facts={key: _plain(value) for key, value in context.items() if key != TITLE},
        style=Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8")),  # noqa: S704 own file
        first=summed or quality(rows),
        tables=[*([quality(rows)] if summed else []), *edges, sparsity(rows), cost(rows), components(rows)],
        previews=_sections(previews),
        pareto=_plots(rows),
        sweep=_panels(sweep, 0),
        panels=_panels(curves, len(sweep)),
    )


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sections(previews: Sequence[Preview]) -> list[Section]:
    """A section per heading, and in it a grid per run of previews with the same captions."""
    headings = dict.fromkeys(one.heading for one in previews)
    return [Section(each, _grids([one for one in previews if one.heading == each])) for each in headings]


def _grids(previews: Sequence[Preview]) -> list[Grid]:
    groups = groupby(previews, key=lambda one: (one.shown_as, tuple(one.captions)))
    return [
        Grid(shown_as, captions, [(one.state, one.label, _samples(one)) for one in group])
        for (shown_as, captions), group in groups
    ]


def _samples(one: Preview) -> list[Sample]:
    played = [_uri(one.kind, content) for content in one.played] or [""] * len(one.stills)
    return [Sample(_inline(still), uri) for still, uri in zip(one.stills, played, strict=True)]


def _inline(still: bytes) -> str:
    """A PNG, smaller where it is larger than the page needs."""
    with opened_image(BytesIO(still)) as image:
        if max(image.size) <= WIDEST:
            return _uri("image/png", still)
        image.thumbnail((WIDEST, WIDEST))
        return _uri("image/png", png(np.atleast_3d(np.asarray(image))))


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _plots(rows: Sequence[Row]) -> Plots | None:
    """The Pareto plots of these rows; None where there is nothing to compare."""
    found = paretos(rows)
    if not found:
        return None
    states = dict.fromkeys(point.state for plot in found for point in plot.points)
    drawn_as = marks(found)
    drawings = [Markup(scatter(plot, drawn_as, number)) for number, plot in enumerate(found)]  # noqa: S704
    return Plots(drawn_as, list(states), drawings)


def _panels(curves: Sequence[Curve], first: int) -> list[Panels]:
    """The curves, numbered from ``first``, in runs that share a legend."""
    groups = groupby(enumerate(curves, first), key=lambda numbered: legend(numbered[1]))
    # The drawings are our own; matplotlib has escaped the words in them.
    return [
        Panels(entries, [Markup(svg(curve, number)) for number, curve in group])  # noqa: S704
        for entries, group in groups
    ]
