"""What stands beside distances between distributions: real data against real, and what makes them less."""

from collections.abc import Mapping, Sequence
from typing import Any

from prunelab.report.schema import Row
from prunelab.report.titles import quantity

FLOOR = "Floor of real data"
HINT = "the same distance of as many held-out real examples to the other real ones: what a perfect model has"
NONE = "none"  # where there are too few real examples


def floor_of(row: Row, name: str) -> Mapping[str, Any] | None:
    """The floor of a row's metric, an estimate that may be undefined; None of what has none by its nature."""
    floor: Mapping[str, Any] | None = row["metrics"].get(name, {}).get("floor")
    return floor


def have_floors(rows: Sequence[Row], name: str) -> bool:
    """Whether a metric is one that has floors."""
    return any(floor_of(row, name) is not None for row in rows)


def warnings(rows: Sequence[Row]) -> list[str]:
    """The warnings of the rows' metrics, each once, after the metric's title."""
    measured = [(name, estimate) for row in rows for name, estimate in row["metrics"].items()]
    found = [f"{quantity(rows, name).title}: {one['warning']}" for name, one in measured if "warning" in one]
    return list(dict.fromkeys(found))
