"""The page says with every row what made it, and warns where versions differ."""

from collections.abc import Callable
from typing import Any

import pytest

from prunelab.report.given import Given
from prunelab.report.schema import check_row
from prunelab.report.sections.makers import differences, html

PROVENANCE = {
    "command": "prunelab run sparsity=0.3",
    "version": "0.1.0",
    "commit": None,
    "libraries": {"torch": "2.7.0"},
    "hardware": {"device": "cpu", "threads": 1, "memory": None},
    "date": "2026-01-02T03:04:05+00:00",
    "job": {"SLURM job": "7"},
}


@pytest.fixture
def made(row: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [row("dense"), row("pruned")]
    for one in rows:
        one["provenance"] = {**PROVENANCE, "command": f"prunelab run {one['state']}=1"}
        one["addresses"] = {f"sample-{one['state']}-00": "sample"}
        check_row(one)
    return rows


def test_what_differs_is_in_the_rows_and_what_does_not_is_said_once(made: list[dict[str, Any]]) -> None:
    page = html(Given(made))
    for once in ("torch 2.7.0", "device cpu, threads 1", "SLURM job 7", "no commit known"):
        assert page.count(once) == 1
    for words in ("prunelab run dense=1", "prunelab run pruned=1", "evaluate-dense-0, sample-dense-00"):
        assert page.count(words) == 1
    assert 'role="note"' not in page


def test_differing_versions_are_warned_of(made: list[dict[str, Any]]) -> None:
    assert differences(made) == []
    made[1]["provenance"] = {**PROVENANCE, "libraries": {"torch": "2.8.0"}, "commit": "abc"}
    assert differences(made) == [
        "Rows were made with different versions of the commit: unknown (1 rows), abc (1 rows)",
        "Rows were made with different versions of torch: 2.7.0 (1 rows), 2.8.0 (1 rows)",
    ]
    assert html(Given(made)).count('role="note"') == 2


def test_rows_from_before_say_nothing(row: Callable[..., dict[str, Any]]) -> None:
    assert html(Given([row("dense"), row("pruned")])) == ""
