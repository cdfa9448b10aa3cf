"""Where each component breaks that was pruned alone."""

from markupsafe import Markup

from prunelab.report.cliff import cliff_table, cliffs
from prunelab.report.folding import folded
from prunelab.report.given import Given

TITLE, PLACE = "Breaking point per component", 65


def html(given: Given) -> Markup:
    """A table, where components were pruned alone at two shares or more."""
    found = [cliff for own in given.sets for cliff in cliffs(own.rows)]
    return folded([cliff_table(found)]) if found else Markup()
