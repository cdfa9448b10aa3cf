"""Losses of scoring and recovery over their steps."""

from itertools import groupby

from markupsafe import Markup

from prunelab.report.curves import legend, svg
from prunelab.report.given import Given
from prunelab.report.markup import own, piece

TITLE, PLACE = "Training curves", 90
OPEN = 3  # panels that stand open


def html(given: Given) -> Markup:
    """The curves, in runs that share a legend."""
    parts = []
    for entries, group in groupby(enumerate(given.curves), key=lambda numbered: legend(numbered[1])):
        drawings = [own(svg(curve, f"t{number}")) for number, curve in group]
        parts += [piece("strokes", entries=entries), piece("panels", drawings=drawings)]
    if not parts:
        return Markup()
    count = len(given.curves)
    summary = f"{count} panel{'s' if count > 1 else ''}: losses over steps"
    return piece("fold", summary=summary, content=Markup("\n").join(parts), open=count <= OPEN)
