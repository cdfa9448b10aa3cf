"""Pareto plots: quality against parameters, multiply-accumulates and latency that are left."""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from prunelab.report.comparable import separation
from prunelab.report.given import Given
from prunelab.report.markup import own, piece
from prunelab.report.pareto import Pareto, paretos
from prunelab.report.scatter import Mark, marks, requests, scatter

TITLE, PLACE = "Quality against cost", 20
NOTE = (
    "One mark per method and sparsity that was asked for ({asked}): the mean over seeds, with a bar from the "
    "smallest to the largest (of a single seed, the interval of its own estimate). Parameters and "
    "multiply-accumulates are counted in the components that were pruned, together; zeroed weights still "
    "cost their multiply-accumulates. Latency is the denoiser's, at the smallest batch."
)
BESIDE = "which stands beside it where there is room"


def html(given: Given) -> Markup:
    """A row of plots per main metric, for each set of comparable rows."""
    found = paretos(given.rows)
    if not found:
        return Markup()
    drawn_as = marks(found)
    states = list(dict.fromkeys(point.state for plot in found for point in plot.points))
    parts = [piece("note", words=separation(given.rows))] if len(given.sets) > 1 else []
    parts.append(piece("marks", marks=drawn_as, states=states))
    for name, plots in groupby(enumerate(found), key=lambda numbered: numbered[1].name):
        parts += [piece("subtitle", words=name)] if name else []
        parts += [_row(plot, drawn_as, number) for number, plot in plots]
    return Markup("\n").join([*parts, piece("note", words=_note(found))])


def _note(plots: Sequence[Pareto]) -> str:
    asked = {each for plot in plots for each in requests(plot)}
    return NOTE.format(asked=BESIDE if len(asked) > 1 else f"{asked.pop()} throughout")


def _row(plot: Pareto, drawn_as: tuple[Mark, ...], number: int) -> Markup:
    drawings = [own(scatter(plot, cost, drawn_as, f"p{number}{cost}")) for cost in plot.costs]
    return piece("panels", drawings=drawings)
