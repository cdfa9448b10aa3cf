"""The report's table at the end of a run or a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from prunelab.core.quantities import Quantity
from prunelab.report.floors import FLOOR
from prunelab.report.numbers import UNDEFINED, decimal, decimals, share
from prunelab.report.schema import Row
from prunelab.report.summary import Group, Spread, over_seeds, spread_texts
from prunelab.report.tables import NOMINAL, TITLES, Cell, Table, cost, quality, sparsity
from prunelab.report.titles import main_metrics, metrics_of, quantity, titled

ACROSS = 4  # this many models fit side by side; more are listed below each other
WIDTH = 80  # characters that a sweep's table may take
NARROWEST = 12  # characters of a choice's lines
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
                drawn.add_row(Text(heading.text), *(_joined(line.cells[i]) for line in table.lines))
        drawn.add_section()
    return drawn


def _below(rows: Sequence[Row]) -> RichTable:
    """A block per choice and a line per state in it: for a sweep. The page has the rest.

    Means over seeds. No number is cut in 80 columns: choices wrap, and metrics that do not fit stay away.
    """
    found = over_seeds(rows)
    choices = [group.label for group in found]
    groups = sorted(found, key=lambda group: choices.index(group.label))
    columns = _fitting(groups, main_metrics(rows))
    drawn = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    drawn.add_column("", overflow="fold", min_width=NARROWEST)
    drawn.add_column("", no_wrap=True)
    for column in columns:
        drawn.add_column(Text("\n".join(column.heading)), justify="right", no_wrap=True)
    for choice, block in groupby(range(len(groups)), key=lambda number: groups[number].label):
        numbers = list(block)
        states = "\n".join(groups[number].state for number in numbers)
        cells = ("\n".join(column.cells[number] for number in numbers) for column in columns)
        drawn.add_row(Text(choice), states, *cells)
    drawn.caption = "\n".join(["means over seeds, ± the distance of the farthest seed", *_floors(groups)])
    return drawn


@dataclass(frozen=True)
class Column:
    """Lines of a heading, and a text per group."""

    heading: Sequence[str]
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """Characters, with the gap before it."""
        return 1 + max(map(len, [*self.heading, *self.cells]))


def _fitting(groups: Sequence[Group], metrics: Sequence[str]) -> list[Column]:
    """What was removed, and as many metrics as 80 characters hold beside choices and states."""
    rows = [row for group in groups for row in group.rows]
    single = any(row["sparsity"].get("nominal") is not None for row in rows)
    removed = {("nonzeros" if single else "parameters"): "Non-0" if single else "Params", "macs": "MACs"}
    columns = [
        Column((title, "removed"), [share(group.achieved(name)) for group in groups])
        for name, title in removed.items()
    ]
    left = WIDTH - NARROWEST - 1 - max(len(group.state) for group in groups) - sum(c.width for c in columns)
    for name in metrics:
        kind = quantity(rows, name)
        cells = [_measured(group.metric(name), kind) for group in groups]
        column = Column(wrap(titled(kind), 11), cells)
        left -= column.width
        if left >= 0:
            columns.append(column)
    return columns


def _floors(groups: Sequence[Group]) -> list[str]:
    """A line per distance with the floors that the groups have of it."""
    rows = [row for group in groups for row in group.rows]
    lines = []
    for name in metrics_of(rows):
        kind, found = quantity(rows, name), [group.floor(name) for group in groups]
        texts = dict.fromkeys(" ".join(spread_texts(floor, kind)).strip() for floor in found if floor)
        lines += [f"{FLOOR}: {kind.title} {' or '.join(texts)}"] if texts else []
    return lines


def _measured(spread: Spread | None, kind: Quantity) -> str:
    """``43.9 ±1.3``."""
    if spread is None:
        return UNDEFINED
    mean, low, high = (value * kind.scale for value in spread)
    places = 1 if kind.percent else decimals(max(abs(mean), abs(low), abs(high)))
    far = max(mean - low, high - mean)
    return f"{decimal(mean, places)}{kind.shown_unit}" + (f" ±{decimal(far, places)}" if low != high else "")


def _joined(cell: Cell) -> Text:
    """The number and, dimmed, what qualifies it; on a line of its own where one is too short."""
    if not cell.detail:
        return Text(cell.text)
    between = " " if len(cell.text) + len(cell.detail) < WIDEST else "\n"
    return Text.assemble(cell.text, between, (cell.detail, "dim"))
