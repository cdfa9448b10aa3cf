"""The table, the curves and the pictures: what a run or a sweep leaves for people and for programs."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prunelab.report.combined import combine, write_combined
    from prunelab.report.curves import Curve, Line
    from prunelab.report.data_frame import frame
    from prunelab.report.report import write_report
    from prunelab.report.schema import read_report
    from prunelab.report.terminal import terminal_table

__all__ = [
    "Curve",
    "Line",
    "combine",
    "frame",
    "read_report",
    "terminal_table",
    "write_combined",
    "write_report",
]
# Where each lies: who reads a report does not wait for what draws one.
PLACES = {
    "Curve": "curves",
    "Line": "curves",
    "combine": "combined",
    "frame": "data_frame",
    "read_report": "schema",
    "terminal_table": "terminal",
    "write_combined": "combined",
    "write_report": "report",
}


def __getattr__(name: str) -> object:
    """What is asked for, imported then."""
    if name in PLACES:
        return getattr(importlib.import_module(f"prunelab.report.{PLACES[name]}"), name)
    raise AttributeError(f"module 'prunelab.report' has no attribute {name!r}")
