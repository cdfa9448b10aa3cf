"""The tables beside the page hold the page's numbers, and say them so that other programs read them."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunelab.report.paper import latex, tables
from prunelab.report.summary import over_seeds

MakeRow = Callable[..., dict[str, Any]]


@pytest.fixture
def sweep(row: MakeRow) -> list[dict[str, Any]]:
    made = [row("pruned", scorer, seed=seed) for scorer in ("taylor", "random_gates") for seed in (0, 4)]
    return [row("dense"), *made]


def test_the_csv_file_has_numbers_with_their_intervals(sweep: list[dict[str, Any]]) -> None:
    dense, taylor, _ = csv.DictReader(tables(sweep)["summary.csv"].splitlines())
    assert (taylor["state"], taylor["scorer"], taylor["seeds"]) == ("pruned", "taylor", "2")
    assert float(taylor["frechet_distance"]) == pytest.approx(82)  # 80 and 84
    assert float(taylor["frechet_distance/low"]) == pytest.approx(78)
    assert float(taylor["frechet_distance/high"]) == pytest.approx(86)
    assert float(taylor["parameters removed"]) == pytest.approx(0.3)
    assert (dense["scorer"], dense["psnr"]) == ("", "")


def test_the_latex_table_has_what_the_markdown_table_has(sweep: list[dict[str, Any]]) -> None:
    lines = latex(over_seeds(sweep)).splitlines()
    assert lines[0] == r"\begin{tabular}{ll" + "r" * 6 + "}"
    assert lines[2].startswith(r"state & scorer & seeds & parameters removed & MACs removed & ")
    assert r"Prompt accuracy~$\uparrow$" in lines[2]
    assert r"pruned & random\_gates & 2 & 30.0 \% & 30.0 \% & 82.0 [80.0, 84.0] & 90.0 \%" in lines[6]
    assert [line for line in lines if not line.endswith(r"\\")] == [
        *(lines[0], r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}")
    ]


def test_rows_that_do_not_compare_have_tables_of_their_own(row: MakeRow) -> None:
    rows = [row("dense"), row("pruned"), row("dense"), row("pruned")]
    for number, one in enumerate(rows):
        one["conditions"] = {"data": f"digits {number // 2}"}
    written = tables(rows)
    assert written["summary.md"].count("| dense |") == written["summary.tex"].count(r"\toprule") == 2
    assert "different data" in written["summary.md"]
    assert [line["data"] for line in csv.DictReader(written["summary.csv"].splitlines())] == [
        *("digits 0", "digits 0", "digits 1", "digits 1")
    ]


def test_hostile_words_stay_words(row: MakeRow) -> None:
    rows = [row("pruned", name) for name in ("=1+1", r"\input{a}^~", "a")]
    written = tables(rows)
    assert "'=1+1" in written["summary.csv"]
    assert r"\textbackslash{}input\{a\}\textasciicircum{}\textasciitilde{}" in written["summary.tex"]


def test_they_lie_beside_the_page(tmp_path: Path, sweep: list[dict[str, Any]]) -> None:
    from prunelab.report import write_report

    write_report(tmp_path, sweep, [], [], {})
    for name, content in tables(sweep).items():
        assert (tmp_path / name).read_text("utf-8") == content
