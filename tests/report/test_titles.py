"""What rows say of their metrics is what tables, plots and the screen show; nothing else knows a metric."""

import io
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prunelab.core.quantities import Quantity
from prunelab.report import combine, read_report, terminal_table, write_combined, write_report
from prunelab.report.pareto import paretos
from prunelab.report.summary import markdown, over_seeds
from prunelab.report.tables import quality
from prunelab.report.titles import main_metrics, quantity

SOURCES = Path(__file__).parents[2] / "src" / "prunelab"


def test_a_row_says_what_a_metric_is(row: Any) -> None:
    rows = [row("dense"), row("pruned", sparsity=0.1), row("pruned", sparsity=0.5)]
    for number, one in enumerate(rows):
        one["metrics"]["sharpness"] = {"value": 0.5 - number / 10, "low": 0.1, "high": 0.6, "n": 3}
        one["quantities"]["sharpness"] = Quantity("Sharpness", "higher", "of edges", percent=True).as_json()
    assert main_metrics(rows) == ["frechet_distance", "prompt_accuracy", "sharpness"], "PSNR stands aside"
    headings = {heading.text: heading.hint for heading in quality(rows).headings}
    assert headings["Sharpness\N{NO-BREAK SPACE}↑"] == "of edges"
    (plot,) = (plot for plot in paretos(rows) if plot.title.startswith("Sharpness"))
    assert (plot.unit, plot.better, plot.dense) == ("%", "higher", 50.0)
    assert "| 40.0 % [10.0, 60.0] |" not in markdown(over_seeds(rows))
    assert "| 40.0 % |" in markdown(over_seeds(rows))
    drawn = io.StringIO()
    Console(file=drawn, width=120).print(terminal_table(rows))
    assert "Sharpness ↑" in drawn.getvalue().replace("\N{NO-BREAK SPACE}", " ")


def test_one_row_that_says_it_is_enough(rows: list[dict[str, Any]]) -> None:
    del rows[0]["quantities"]
    assert quantity(rows, "psnr").unit == "dB"


def test_reports_from_before_open_with_bare_names(
    tmp_path: Path, rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    old = deepcopy(rows)
    for one in old:
        del one["quantities"]
    write_report(tmp_path / "old", old, [], [], {})
    write_combined(tmp_path / "sweep", [tmp_path / "old"])
    assert "before metrics described themselves" in capsys.readouterr().err
    assert read_report(tmp_path / "sweep" / "report.json")["rows"] == combine([tmp_path / "old"])
    assert [one["metrics"] for one in combine([tmp_path / "old"])] == [one["metrics"] for one in old]
    assert {heading.text for heading in quality(old).headings} == {
        "frechet distance",
        "prompt accuracy",
        "psnr",
    }
    write_report(tmp_path / "new", rows, [], [], {})
    page = write_combined(tmp_path / "sweep", [tmp_path / "old", tmp_path / "new"]).read_text("utf-8")
    assert "PSNR to dense" in page, "another report of the sweep says it"
    assert capsys.readouterr().err == ""


def test_no_metric_is_named_where_numbers_are_shown() -> None:
    named = {
        re.search(r'name: Text = "(\w+)"', file.read_text("utf-8"))[1]  # type: ignore[index]
        for file in (SOURCES / "metrics").glob("*.py")
        if "name: Text" in file.read_text("utf-8")
    }
    assert len(named) > 8
    shown = [file for room in ("report", "stages", "cli", "tracking") for file in (SOURCES / room).rglob("*")]
    texts = {file.name: file.read_text("utf-8") for file in shown if file.suffix in (".py", ".jinja")}
    assert {name: metric for name, text in texts.items() for metric in named if metric in text} == {}
