"""The report's tables: one row per evaluated model, ready to be laid out by the page or the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from prunelab.core.quantities import Quantity
from prunelab.report.floors import FLOOR, HINT, NONE, floor_of, have_floors, warnings
from prunelab.report.labels import DESCRIBED, labels, shares
from prunelab.report.numbers import (
    UNDEFINED,
    change,
    count,
    decimal,
    decimals,
    estimate_texts,
    milliseconds,
    share,
    size,
)
from prunelab.report.schema import ACHIEVED, COUNTS, Row
from prunelab.report.speed import latency_of_dense, verdict
from prunelab.report.titles import metrics_of, quantity, titled

TITLES = {
    "elements": "Elements",
    "parameters": "Parameters",
    "nonzeros": "Non-zeros",
    "macs": "MACs",
    "macs_without_attention": "MACs without attention",
}
NOMINAL = "Nominal total"


@dataclass(frozen=True)
class Cell:
    """A number as text, with what qualifies it: an interval, a change, a verdict."""

    text: str
    detail: str = ""


@dataclass(frozen=True)
class Heading:
    """The title of a column, with an explanation for those who want one."""

    text: str
    hint: str = ""


@dataclass(frozen=True)
class Measure:
    """A metric of a table: its name, what it is, and whether any row has a floor of it, which is a column."""

    name: str
    kind: Quantity
    floors: bool

    @property
    def headings(self) -> list[Heading]:
        """Of the metric and of its floor."""
        own = Heading(titled(self.kind), self.kind.hint)
        return [own, Heading(FLOOR, HINT)] if self.floors else [own]

    def cells(self, row: Row) -> list[Cell]:
        """What a row has below them."""
        estimate, floor = row["metrics"].get(self.name), floor_of(row, self.name)
        own = Cell(UNDEFINED) if estimate is None else Cell(*estimate_texts(estimate, self.kind))
        if not self.floors:
            return [own]
        if floor is None:
            return [own, Cell(UNDEFINED)]
        return [own, Cell(NONE) if floor["value"] is None else Cell(*estimate_texts(floor, self.kind))]


@dataclass(frozen=True)
class Line:
    """One evaluated model: its state, its label, and a cell per heading."""

    state: str
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A titled table with a note on how to read it. words: whether its cells hold words, which wrap."""

    title: str
    note: str
    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    words: bool = False


def measures_of(rows: Sequence[Row]) -> list[Measure]:
    """A measure per metric that any row has."""
    return [Measure(name, quantity(rows, name), have_floors(rows, name)) for name in metrics_of(rows)]


def quality(rows: Sequence[Row]) -> Table:
    """Every metric that any row has, with its interval, and beside a distance its floor."""
    measures = measures_of(rows)
    headings = tuple(heading for one in measures for heading in one.headings)
    cells = [tuple(cell for one in measures for cell in one.cells(row)) for row in rows]
    note = (
        "Value [low, high]: for means a 95 % bootstrap interval over prompts, each with all its samples "
        "(over samples where nothing is asked for), the smallest and the largest over sampling seeds for "
        "distances between distributions. ↓ lower is better, ↑ higher."
    )
    if any(heading.text == FLOOR for heading in headings):
        note += f" {FLOOR}: {HINT}; {NONE} where the real examples are fewer than twice as many."
    return Table("Quality", " ".join([note, *warnings(rows)]), headings, _lines(rows, cells, DESCRIBED))


def sparsity(rows: Sequence[Row]) -> Table:
    """What was asked for and what was removed, as shares of the dense components'."""
    headings = (Heading("Requested"), *(Heading(f"{TITLES[name]} removed") for name in ACHIEVED))
    shown = list(ACHIEVED)
    note = "Elements are of the chosen units; parameters, non-zeros and MACs of the pruned components."
    before = sorted({name for row in rows for name in row["sparsity"].get("given_pruned", ())})
    if before:
        note += f" {' and '.join(before)} had been pruned before: shares are of the model as it was given."
    if any(row["sparsity"].get("nominal") is not None for row in rows):
        headings += (Heading(NOMINAL, "the request as if every parameter could go"),)
        shown.append("nominal")
        note += (
            " The nominal total counts each share as one of all parameters of its component, as the study "
        )
        note += "of Stable Diffusion 2 does: the real zeros are the non-zeros removed."
    cells = [(_requested(row), *(Cell(share(row["sparsity"].get(name))) for name in shown)) for row in rows]
    return Table("Sparsity, requested and achieved", note, headings, _lines(rows, cells))


def cost(rows: Sequence[Row]) -> Table:
    """What every model costs, in total, next to the dense one."""
    settings = tuple(dict.fromkeys(name for row in rows for name in row["cost"]["latency_ms"]))
    headings = (
        *(Heading(TITLES[name]) for name in COUNTS),
        *(Heading(f"Latency, {name.replace('_', ' ')}", "median (95th percentile)") for name in settings),
        Heading("Peak memory", "of the CUDA allocator"),
        Heading("On disk"),
    )
    sizes = ["disk_bytes"]
    if any(row["cost"].get("compressed_bytes") is not None for row in rows):
        headings += (Heading("Compressed", "the saved model through lossless DEFLATE"),)
        sizes.append("compressed_bytes")
    cells = [_cost_cells(row, dense_of(row, rows), settings, sizes) for row in rows]
    note = (
        "MACs count attention's two products. Zeroed weights are not faster "
        "weights: a model is called faster only where its latency interval lies below the dense one's."
    )
    return Table("Cost", note, headings, _lines(rows, cells))


def components(rows: Sequence[Row]) -> Table:
    """Parameters, non-zeros and MACs of every component of every model."""
    headings = (Heading("Component"), *(Heading(TITLES[name]) for name in COUNTS))
    lines = [
        Line(row["state"], label, (Cell(name), *_component_cells(row, dense_of(row, rows), name)))
        for row, label in zip(rows, labels(rows), strict=True)
        for name in row["cost"]["components"]
    ]
    return Table("Cost per component", "", headings, tuple(lines))


def dense_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """The dense model that ``row`` came from, if it was evaluated."""
    own = (row["task"], row["model"])
    dense = (other for other in rows if other["state"] == "dense" and (other["task"], other["model"]) == own)
    return next(dense, None)


def _lines(
    rows: Sequence[Row], cells: Sequence[tuple[Cell, ...]], fallback: Sequence[str] = ()
) -> tuple[Line, ...]:
    named = zip(rows, labels(rows, fallback), cells, strict=True)
    return tuple(Line(row["state"], label, its_cells) for row, label, its_cells in named)


def _requested(row: Row) -> Cell:
    asked, of = row["sparsity"]["requested"], row["sparsity"]["of"]
    if asked is None:
        return Cell(UNDEFINED)
    return Cell(shares(asked), f"of {of}" if of else "")


def _cost_cells(
    row: Row, dense: Row | None, settings: Sequence[str], sizes: Sequence[str]
) -> tuple[Cell, ...]:
    own = row["cost"]
    base = dense["cost"] if dense and row["state"] != "dense" else own
    counts = (Cell(count(own[name]), change(own[name], base[name])) for name in COUNTS)
    return (
        *counts,
        *(_latency(row, dense, setting) for setting in settings),
        Cell(size(own["peak_memory_bytes"])),
        *(Cell(size(own.get(name)), change(own.get(name) or 0, base.get(name) or 0)) for name in sizes),
    )


def _latency(row: Row, dense: Row | None, setting: str) -> Cell:
    own = row["cost"]["latency_ms"].get(setting)
    if own is None:
        return Cell(UNDEFINED)
    text = f"{milliseconds(own['median'])}, p95 {decimal(own['p95'], decimals(own['median']))}"
    base = latency_of_dense(row, dense).get(setting) if dense and row["state"] != "dense" else None
    return Cell(text, verdict(own, base) if base else "")


def _component_cells(row: Row, dense: Row | None, component: str) -> tuple[Cell, ...]:
    own = row["cost"]["components"][component]
    base = dense["cost"]["components"].get(component, own) if dense else own
    return tuple(Cell(count(own[name]), change(own[name], base[name])) for name in COUNTS)
