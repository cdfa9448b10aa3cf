"""What made every row: command, versions, hardware, date and the artifacts it came from."""

from collections.abc import Sequence

from markupsafe import Markup

from prunelab.report.folding import folded
from prunelab.report.given import Given
from prunelab.report.labels import labels
from prunelab.report.markup import piece
from prunelab.report.numbers import UNDEFINED
from prunelab.report.quoting import printable
from prunelab.report.schema import Row
from prunelab.report.tables import Cell, Heading, Line, Table

TITLE, PLACE = "How this was made", 100
HEADINGS = ("Command", "prunelab", "Libraries", "Hardware", "Date and job", "Measured on", "Addresses")
NOTE = "prunelab rerun FOLDER repeats the run that left FOLDER; its provenance.json has every setting."


def html(given: Given) -> Markup:
    """Warnings where versions differ, and a row per model."""
    said = [row for row in given.rows if row.get("provenance") or row.get("conditions")]
    if not said:
        return Markup()
    cells = [_cells(row) for row in given.rows]
    alike = {name: {line[i] for line in cells} for i, name in enumerate(HEADINGS)}
    shown = [i for i, name in enumerate(HEADINGS) if len(alike[name]) > 1]
    named = zip(given.rows, labels(given.rows), cells, strict=True)
    lines = [Line(row["state"], name, tuple(line[i] for i in shown)) for row, name, line in named]
    table = Table("Provenance", NOTE, tuple(Heading(HEADINGS[i]) for i in shown), tuple(lines), words=True)
    same = {name: min(found, key=str) for name, found in alike.items() if len(found) == 1}
    told = [piece("warning", words=line) for line in differences(given.rows)]
    return Markup("\n").join(
        [*told, *([piece("same", facts=same)] if same else []), folded([table], open_up_to=0)]
    )


def differences(rows: Sequence[Row]) -> list[str]:
    """A line for each of prunelab, its commit and the libraries of which rows had several versions."""
    made = [row["provenance"] for row in rows if row.get("provenance")]
    versions: dict[str, list[str]] = {}
    for each in made:
        named = {"prunelab": each["version"], "the commit": each["commit"] or "unknown", **each["libraries"]}
        for name, version in named.items():
            versions.setdefault(name, []).append(version)
    return [_line(name, found) for name, found in versions.items() if len({*found}) > 1]


def _line(name: str, versions: Sequence[str]) -> str:
    counted = ", ".join(f"{version} ({versions.count(version)} rows)" for version in dict.fromkeys(versions))
    return printable(f"Rows were made with different versions of {name}: {counted}")


def _cells(row: Row) -> tuple[Cell, ...]:
    made = row.get("provenance")
    measured = "; ".join(f"{name}: {value}" for name, value in row.get("conditions", {}).items())
    addresses = ", ".join(dict.fromkeys((row["address"], *row.get("addresses", {}))))
    texts = [(UNDEFINED, "")] * 5
    if made:
        texts = [
            (made["command"], ""),
            (made["version"], f"commit {made['commit']}" if made["commit"] else "no commit known"),
            (_joined(made["libraries"]), ""),
            (_joined(made["hardware"]), ""),
            (made["date"], _joined(made.get("job", {}))),
        ]
    texts += [(measured, ""), (addresses, "")]
    return tuple(Cell(printable(text), printable(detail)) for text, detail in texts)


def _joined(said: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None)
