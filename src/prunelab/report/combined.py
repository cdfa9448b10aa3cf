"""One report of many: what a sweep's jobs measured, side by side."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

from prunelab.core.errors import Refusal
from prunelab.core.previews import Preview
from prunelab.report import beside
from prunelab.report.labels import label, varying
from prunelab.report.quoting import printable
from prunelab.report.report import JSON, write_report
from prunelab.report.schema import NoReport, Row, read_report
from prunelab.report.trainings import trainings

UNDESCRIBED = (
    "these reports were written before metrics described themselves, and no task here describes them: "
    "they have bare names and no better side; running the jobs again writes them anew"
)
PROMPTS = 6  # of every job's previews
JOBS = "jobs"  # the entry of the context by which a report of many is known


def combine(folders: Sequence[Path]) -> list[Row]:
    """The rows of the reports in ``folders``, in order, each evaluation once.

    Jobs of a sweep share the dense model's row, and those that differ in recovery only share the pruned
    one's. A folder without a readable report is named on standard error and left out. Raises Refusal
    for a report of an unknown schema, and when no report is left.
    """
    return _merged([report for _, report in _readable(folders)])


def write_combined(
    folder: Path, reports: Sequence[Path], described: Callable[[Row], Row] = lambda row: row
) -> Path:
    """Write one report of ``reports`` (their folders or files) into ``folder``; the page's path.

    It has every row once, the metric-against-sparsity curves, and each model's previews of the first
    few prompts. ``described`` adds what a row from an older report does not say. Raises as ``combine``.
    """
    readable = _readable(reports)
    found = _once(readable)
    dropped = len(readable) - len(found)
    rows = [described(row) for row in _merged([report for _, report in found])]
    fields = varying(rows)
    if not any("quantities" in row for row in rows):
        print(UNDESCRIBED, file=sys.stderr)
    previews: list[Preview] = []
    for path, report in found:
        for one in beside.read(path.parent, report):
            named = _relabelled(one.first(PROMPTS), report, fields)
            if named not in previews:  # the dense model's are the same in every job
                previews.append(named)
    context = {"title": "prunelab sweep", JOBS: len(reports) - dropped, "reports": len(found)}
    shown = sorted(previews, key=lambda one: one.state != "dense")
    folder.mkdir(parents=True, exist_ok=True)
    return write_report(folder, rows, shown, trainings([report for _, report in found], fields), context)


def _readable(places: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """The reports that can be read, with the paths of their files."""
    paths = [path / JSON if path.is_dir() else path for path in places]
    read = [(path, _read(path)) for path in paths]
    found = [(path, report) for path, report in read if report is not None]
    if not found:
        raise Refusal(f"nothing to combine: none of {len(paths)} jobs left a readable {JSON}")
    return found


def _once(found: list[tuple[Path, dict[str, Any]]]) -> list[tuple[Path, dict[str, Any]]]:
    """Without a sweep's own report where its jobs' are there: its samples would be shown a second time."""
    of_jobs = {_identity(row) for _, one in found if not _of_a_sweep(one) for row in one["rows"]}
    return [
        (path, one)
        for path, one in found
        if not _of_a_sweep(one) or any(_identity(row) not in of_jobs for row in one["rows"])
    ]


def _of_a_sweep(report: Mapping[str, Any]) -> bool:
    return JOBS in report.get("context", {})  # which reports may lack


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise NoReport(f"{path} is no file")
        return read_report(path)
    except FileNotFoundError:
        reason = "it is missing"
    except NoReport as error:
        reason = str(error)
    except Refusal:
        raise
    except (OSError, ValueError) as error:
        reason = f"it is broken ({error})"
    print(printable(f"left out {path}: {reason}"), file=sys.stderr)
    return None


def _merged(reports: Sequence[dict[str, Any]]) -> list[Row]:
    merged: dict[str, Row] = {}
    for report in reports:
        for row in map(_timed, report["rows"], repeat(report["rows"])):
            known = merged.get(_identity(row), {})
            if "quantities" not in known:  # the first that says what its metrics are, else the first
                merged[_identity(row)] = row
    return list(merged.values())


def _timed(row: Row, job: Sequence[Row]) -> Row:
    """With the latency of its own job's dense model: another job's was measured at another time."""
    dense = [one["cost"]["latency_ms"] for one in job if one["state"] == "dense"]
    if row["state"] == "dense" or "dense_latency_ms" in row["cost"] or len(dense) != 1:
        return row
    return {**row, "cost": {**row["cost"], "dense_latency_ms": dense[0]}}


def _identity(row: Row) -> str:
    """Equal for two rows of one evaluation, whatever the jobs were that they came from."""
    return json.dumps(
        [row["state"], row["address"], row["metrics"], row.get("conditions", {})], sort_keys=True
    )


def _relabelled(one: Preview, report: dict[str, Any], fields: Sequence[str]) -> Preview:
    """The preview under its row's label in the sweep, where the job has one row of its state."""
    own = [row for row in report["rows"] if row["state"] == one.state]
    return replace(one, label=label(own[0], fields)) if len(own) == 1 else one
