"""The table, the curves and the pictures: what a run or a sweep leaves for people and for programs."""

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
