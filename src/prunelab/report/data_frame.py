"""Rows of a report as a pandas DataFrame, for notebooks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prunelab.report.schema import ACHIEVED, COUNTS, Row

if TYPE_CHECKING:
    import pandas as pd

CHOICES = ("state", "task", "model", "scorer", "granularity", "budget", "bypass", "recovery", "seed")
SIDES = {"": "value", " low": "low", " high": "high"}
BYTES = ("peak_memory_bytes", "disk_bytes")


def frame(rows: Sequence[Row]) -> "pd.DataFrame":
    """A line per row: choices, sparsities, every metric with its ``low`` and ``high``, costs, address.

    Numbers are as ``report.json`` has them: shares from 0 to 1, milliseconds, bytes. What a row lacks is NaN.
    """
    import pandas as pd

    return pd.DataFrame([_line(row) for row in rows])


def _line(row: Row) -> dict[str, Any]:
    asked, cost = row["sparsity"], row["cost"]
    line = {name: row.get(name) for name in CHOICES}
    line |= {name: asked[name] for name in ("requested", "of")}
    line |= {f"removed {name}": asked[name] for name in ACHIEVED}
    for name, estimate in row["metrics"].items():
        line |= {f"{name}{end}": estimate[side] for end, side in SIDES.items()}
    line |= {name: cost.get(name) for name in (*COUNTS, *BYTES)}
    line |= {f"latency {at}": figures["median"] for at, figures in cost["latency_ms"].items()}
    return line | {"address": row["address"]}
