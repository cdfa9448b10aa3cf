"""Training curves of a sweep: of each loss one panel, a line per job."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prunelab.report.curves import Curve, Line, from_json
from prunelab.report.labels import label


def trainings(reports: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> list[Curve]:
    """The curves of ``reports``, each line under its job's label; of seeds that of the first.

    fields: those in which the jobs' rows differ.
    """
    panels: dict[tuple[str, str], dict[str, Line]] = {}
    forms: dict[tuple[str, str], Curve] = {}
    for report in reports:
        name = _name(report, [field for field in fields if field != "seed"])
        for curve in map(from_json, report.get("curves", ())):
            for line in curve.lines:
                key = (curve.title, line.label)
                forms.setdefault(key, curve)
                panels.setdefault(key, {}).setdefault(name, replace(line, label=name, family=name))
    return [
        replace(forms[key], title=", ".join(key), y_label="", lines=list(lines.values()), level=None)
        for key, lines in panels.items()
    ]


def _name(report: Mapping[str, Any], fields: Sequence[str]) -> str:
    """What the job's models are called in the sweep: the longest of their labels says most."""
    labels = [label(row, fields) for row in report["rows"] if row["state"] != "dense"]
    return max(labels, key=len, default="") or "run"
