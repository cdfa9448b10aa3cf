"""Tables on the page: short ones stand open, long ones are folded."""

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from prunelab.report.markup import piece
from prunelab.report.tables import Table

OPEN = 8  # lines of a table that stands open


def folded(tables: Sequence[Table], open_up_to: int = OPEN) -> Markup:
    """The tables below each other, each with its note, which stands outside of the fold."""
    return Markup("\n").join(_folded(table, open_up_to) for table in tables if table.lines)


def _folded(table: Table, open_up_to: int) -> Markup:
    count = len(table.lines)
    summary = f"{table.title}: {count} row{'s' if count > 1 else ''}"
    drawn = piece("table", table=replace(table, note=""))
    parts = [piece("fold", summary=summary, content=drawn, open=count <= open_up_to)]
    return Markup("\n").join([*parts, *([piece("note", words=table.note)] if table.note else [])])
