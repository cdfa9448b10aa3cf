"""Every metric of every model, and its means over seeds."""

from markupsafe import Markup

from prunelab.report.folding import folded
from prunelab.report.given import Given
from prunelab.report.summary import means
from prunelab.report.tables import quality

TITLE, PLACE = "Every metric", 30


def html(given: Given) -> Markup:
    """The means where there are seeds, and a row per model."""
    summed = means(given.rows)
    return folded([*([summed] if summed else []), quality(given.rows)])
