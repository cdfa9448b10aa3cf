"""Metrics against the sparsity that was achieved."""

from itertools import groupby

from markupsafe import Markup

from prunelab.report.curves import legend, sparsity_curves, svg
from prunelab.report.given import Given
from prunelab.report.markup import own, piece

TITLE, PLACE = "Quality against sparsity", 60


def html(given: Given) -> Markup:
    """A panel per metric and set of comparable rows, folded: the fronts say the same of the main metrics."""
    parts = []
    for order, each in enumerate(given.sets):
        drawn = sparsity_curves(each.rows)
        parts += [piece("subtitle", words=each.name)] if each.name and drawn else []
        for entries, group in groupby(enumerate(drawn), key=lambda numbered: legend(numbered[1])):
            drawings = [own(svg(curve, f"s{order}x{number}")) for number, curve in group]
            parts += [piece("strokes", entries=entries), piece("panels", drawings=drawings)]
    summary = "Every metric against the achieved sparsity"
    return piece("fold", summary=summary, content=Markup("\n").join(parts), open=False) if parts else Markup()
