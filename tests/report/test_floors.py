"""Every table shows a distance's floor beside it, and what an evaluation warned of."""

import io
from typing import Any

import pytest
from rich.console import Console

from prunelab.report.floors import warnings
from prunelab.report.page import render
from prunelab.report.summary import markdown, over_seeds
from prunelab.report.tables import quality
from prunelab.report.terminal import terminal_table

FLOOR = {"value": 23.1, "low": 22.25, "high": 24.0, "n": 200}
UNKNOWN = {"value": None, "low": None, "high": None, "n": 0}


def set_floor(rows: list[dict[str, Any]], floor: dict[str, Any]) -> list[dict[str, Any]]:
    for row in rows:
        row["metrics"]["frechet_distance"]["floor"] = floor
    return rows


def shown(rows: list[dict[str, Any]]) -> list[str]:
    file = io.StringIO()
    Console(width=80, file=file).print(terminal_table(rows))
    return file.getvalue().splitlines()


def test_the_page_has_it_in_the_next_column(rows: list[dict[str, Any]]) -> None:
    table = quality(set_floor(rows, FLOOR))
    titles = [heading.text for heading in table.headings]
    assert titles[1] == "Floor of real data"
    assert titles.count(titles[1]) == 1, "a share has none"
    assert {(line.cells[1].text, line.cells[1].detail) for line in table.lines} == {("23.1", "[22.2, 24.0]")}
    assert all(len(line.cells) == len(titles) for line in table.lines)
    assert "<span>23.1 <small>[22.2, 24.0]</small></span></td>" in render(rows, [], [], {})


def test_where_there_is_none_it_says_so(rows: list[dict[str, Any]]) -> None:
    table = quality(set_floor(rows, UNKNOWN))
    assert {line.cells[1].text for line in table.lines} == {"none"}
    assert "none where the real examples are fewer than twice as many" in table.note


def test_reports_from_before_there_were_floors_have_no_column(rows: list[dict[str, Any]]) -> None:
    assert len(quality(rows).headings) == 3
    assert "Floor" not in quality(rows).note


def test_a_run_has_a_line_of_it_on_the_screen(rows: list[dict[str, Any]]) -> None:
    (line,) = [line for line in shown(set_floor(rows, FLOOR)) if "Floor of real data" in line]
    assert line.count("23.1") == 3, "of the dense, the pruned and the recovered model"


def test_a_sweep_has_it_below_its_table(row: Any) -> None:
    many = [row("dense"), *(row("pruned", scorer=name, seed=seed) for name in "abc" for seed in (0, 1))]
    text = " ".join(" ".join(shown(set_floor(many, FLOOR))).split())
    assert "Floor of real data: Fréchet distance 23.1 [22.2, 24.0]" in text


def test_the_summary_has_it_in_the_next_column(rows: list[dict[str, Any]]) -> None:
    head, _, *body = markdown(over_seeds(set_floor(rows, FLOOR))).splitlines()
    titles = head.split(" | ")
    place = titles.index("Floor of real data")
    assert titles[place - 1].startswith("Fréchet distance")
    assert {line.split(" | ")[place] for line in body} == {"23.1 [22.2, 24.0]"}


@pytest.mark.parametrize("same", [True, False])
def test_warnings_stand_below_the_numbers_once(rows: list[dict[str, Any]], same: bool) -> None:
    for number, row in enumerate(rows):
        row["metrics"]["frechet_distance"]["warning"] = f"{8 if same else number} samples are few"
    found = warnings(rows)
    assert len(found) == (1 if same else 3)
    assert all(line.startswith("Fréchet distance: ") and line in quality(rows).note for line in found)
