"""``report.json``, ``report.html`` and the tables of a paper: what is written of a run or a sweep."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from prunelab.artifacts.disk import refusing_disk_errors
from prunelab.core.previews import Preview
from prunelab.report import beside, paper
from prunelab.report import curves as drawing
from prunelab.report.curves import Curve
from prunelab.report.page import render
from prunelab.report.schema import SCHEMA, Row, check_row

JSON, HTML = "report.json", "report.html"
REMEDY = "set hydra.run.dir=FOLDER to one that can"


def write_report(
    folder: Path,
    rows: Sequence[Row],
    previews: Sequence[Preview],
    curves: Sequence[Curve],
    context: Mapping[str, object],
) -> Path:
    """Write ``report.json``, ``report.html``, ``summary.*`` and a folder per medium; the page's path.

    rows: as docs/report.md describes them; others fail an assertion. previews: models in the order of
    the page, with the same captions where they are to stand below each other. curves: drawn after the
    metric-against-sparsity ones, which follow from the rows. context: JSON values for the page's head;
    ``title`` is its heading.
    """
    for row in rows:
        check_row(row)
    folder = Path(folder).absolute()
    with refusing_disk_errors(folder, REMEDY):
        report = {
            "schema": SCHEMA,
            "rows": list(rows),
            **beside.write(folder, previews),
            "curves": [drawing.as_json(curve) for curve in curves],
            "context": dict(context),
        }
        _write(folder / HTML, render(rows, previews, curves, context))
        for name, content in paper.tables(rows).items():
            _write(folder / name, content)
        _write(folder / JSON, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return folder / HTML


def _write(path: Path, text: str) -> None:
    """Whole or not at all, so that a kill leaves no half of a report."""
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
