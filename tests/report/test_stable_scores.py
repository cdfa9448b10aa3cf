"""How stable the scores are: a line per scoring, and whose scores say nothing of it."""

from collections.abc import Callable
from typing import Any

from prunelab.report.given import Given
from prunelab.report.schema import check_row
from prunelab.report.sections.stable_scores import html

FOUND = {"samples": 16, "of": 32, "halves": [8, 8], "spearman": {"denoiser/head": 0.974, "vae/head": None}}


def test_a_line_per_scoring_and_the_others_by_name(row: Callable[..., dict[str, Any]]) -> None:
    rows = [row("dense"), *(row("pruned", "taylor", share) for share in (0.3, 0.5)), row("pruned", "random")]
    for each in rows[1:3]:
        each["stability"] = FOUND
        check_row(each)
    page = html(Given(rows))
    assert page.count('<tr role="row"><th') + page.count('<th scope="row"') == 2, (
        "two sparsities, one scoring"
    )
    for said in (
        "of at most 32",
        "8 + 8",
        "0.97",
        "denoiser/head",
        "\N{EN DASH}",
        "Not of random: such a scorer",
    ):
        assert said in page


def test_where_nothing_is_known_there_is_no_section(rows: list[dict[str, Any]]) -> None:
    assert html(Given(rows)) == ""
