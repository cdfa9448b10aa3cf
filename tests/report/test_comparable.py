"""Rows that were measured otherwise share no ranking and no front, and the page says why."""

from collections.abc import Callable
from typing import Any

import pytest

from prunelab.report.comparable import comparable, separation
from prunelab.report.page import render
from prunelab.report.pareto import paretos

MakeRow = Callable[..., dict[str, Any]]


def measured(row: MakeRow, value: str, name: str) -> list[dict[str, Any]]:
    """A dense model and two methods at two sparsities, all of one way of measuring."""
    made = [row("dense"), *(row("pruned", scorer, share) for scorer in "ab" for share in (0.1, 0.5))]
    for one in made:
        one["conditions"] = {"data": "digits", "hardware": "a CPU", name: value}
    return made


@pytest.mark.parametrize("name", ["data", "judge", "evaluation", "hardware"])
def test_each_way_of_measuring_is_a_set_of_its_own(row: MakeRow, name: str) -> None:
    rows = [*measured(row, "one", name), *measured(row, "two", name)]
    sets = comparable(rows)
    assert [(own.name, len(own.rows)) for own in sets] == [(f"{name}: one", 5), (f"{name}: two", 5)]
    plots = paretos(rows)
    assert [(plot.name, len(plot.points)) for plot in plots][::2] == [
        (f"{name}: one", 4),
        (f"{name}: two", 4),
    ]
    assert separation(rows).startswith(f"Rows of this report were measured with different {name}:")


def test_the_page_says_why_there_are_several_rankings(row: MakeRow) -> None:
    rows = [*measured(row, "one", "data"), *measured(row, "two", "data")]
    page = render(rows, [], [], {})
    assert page.count("<h3>data: two</h3>") == 3, "rankings, fronts and curves"
    assert page.count(separation(rows)) == 2


def test_rows_that_do_not_say_how_they_were_measured_are_one_set(row: MakeRow) -> None:
    rows = [row("dense"), row("pruned"), *measured(row, "one", "judge")]
    first, _ = comparable(rows)
    assert first.name == "data: not said · hardware: not said · judge: not said"
    assert comparable(rows[:2])[0].name == ""
    assert separation(rows[:2]) == ""
