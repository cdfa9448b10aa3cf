"""What rows say of their metrics: titles, units, which way is better."""

from collections.abc import Sequence
from dataclasses import replace

from prunelab.core.quantities import Quantity
from prunelab.report.quoting import printable
from prunelab.report.schema import Row

ARROWS = {"lower": "\N{NO-BREAK SPACE}↓", "higher": "\N{NO-BREAK SPACE}↑", "": ""}


def quantity(rows: Sequence[Row], name: str) -> Quantity:
    """What the first row that says something of a metric says of it; its plain name where none does."""
    for row in rows:
        said = row.get("quantities", {}).get(name)
        if said is not None:
            found = Quantity.from_json(said)
            title, hint, unit = (printable(words) for words in (found.title, found.hint, found.unit))
            return replace(found, title=title, hint=hint, unit=unit)
    return Quantity(printable(name.replace("_", " ")))


def metrics_of(rows: Sequence[Row]) -> list[str]:
    """The names of the metrics that any row has."""
    return list(dict.fromkeys(name for row in rows for name in row["metrics"]))


def main_metrics(rows: Sequence[Row]) -> list[str]:
    """Those that are to be shown where there is room for few: each has a better side."""
    kinds = {name: quantity(rows, name) for name in metrics_of(rows)}
    return [name for name, kind in kinds.items() if kind.better and not kind.aside]


def titled(kind: Quantity) -> str:
    """A metric's title with an arrow to where it is better."""
    return f"{kind.title}{ARROWS[kind.better]}"
