"""What models cost: parameters, multiply-accumulates, latency, memory, disk."""

from markupsafe import Markup

from prunelab.report.folding import folded
from prunelab.report.given import Given
from prunelab.report.tables import components, cost

TITLE, PLACE = "Cost", 80


def html(given: Given) -> Markup:
    """Of whole models, and of each of their components."""
    return folded([cost(given.rows), components(given.rows)])
