"""What was asked for, and what went."""

from markupsafe import Markup

from prunelab.report.folding import folded
from prunelab.report.given import Given
from prunelab.report.tables import sparsity

TITLE, PLACE = "Requested against achieved", 70


def html(given: Given) -> Markup:
    """A row per model."""
    return folded([sparsity(given.rows)])
