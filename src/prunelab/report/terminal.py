"""The report's table at the end of a run."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from prunelab.report.labels import text, varying
from prunelab.report.quantities import share
from prunelab.report.schema import Row
from prunelab.report.table import NOMINAL, TITLES, Cell, Table, cost, quality, sparsity

ACROSS = 4  # this many models fit side by side; more are listed below each other
WIDEST = 18  # characters of a cell on one line, for three models in a terminal of 80
ON_THE_PAGE_ONLY = ("Non-zeros", "Non-zeros removed", "MACs without attention", "Peak memory")


def terminal_table(rows: Sequence[Row]) -> RichTable:
    """A rich table of the main numbers; print it to standard error."""
    return _across([quality(rows), sparsity(rows), cost(rows)]) if len(rows) <= ACROSS else _below(rows)


def _across(tables: Sequence[Table]) -> RichTable:
    """A column per model, with intervals: for one run."""
    drawn = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    drawn.add_column("")
    for line in tables[0].lines:
        drawn.add_column(line.state, justify="right")
    hidden = set(ON_THE_PAGE_ONLY)
    if any(heading.text == NOMINAL for table in tables for heading in table.headings):
        hidden.remove(f"{TITLES['nonzeros']} removed")  # the real zeros beside the nominal total
    for table in tables:
        for i, heading in enumerate(table.headings):
            if heading.text not in hidden:
                drawn.add_row(heading.text, *(_joined(line.cells[i]) for line in table.lines))
        drawn.add_section()
    return drawn


def _below(rows: Sequence[Row]) -> RichTable:
    """A line per model, the values alone: for a sweep. The page has the intervals and the rest."""
    metrics, fields = quality(rows), varying(rows)
    drawn = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("", *fields):
        drawn.add_column(title, no_wrap=True)
    for title in ("Parameters removed", "MACs removed", *(heading.text for heading in metrics.headings)):
        drawn.add_column(title, justify="right")
    for row, line in zip(rows, metrics.lines, strict=True):
        what = ["" if row["state"] == "dense" else text(row, field) for field in fields]
        removed = [share(row["sparsity"][name]) for name in ("parameters", "macs")]
        drawn.add_row(row["state"], *what, *removed, *(cell.text for cell in line.cells))
    return drawn


def _joined(cell: Cell) -> Text:
    """The number and, dimmed, what qualifies it; on a line of its own where one is too short."""
    if not cell.detail:
        return Text(cell.text)
    between = " " if len(cell.text) + len(cell.detail) < WIDEST else "\n"
    return Text.assemble(cell.text, between, (cell.detail, "dim"))
