"""Metric-against-sparsity lines against hand-made averages; drawings that follow the page's colours."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from prunelab.report.curves import Curve, Line, legend, sparsity_curves, svg

MakeRow = Callable[..., dict[str, Any]]


@pytest.fixture
def sweep(row: MakeRow) -> list[dict[str, Any]]:
    return [
        row("dense"),
        *(
            row(state, scorer, sparsity, seed)
            for state in ("pruned", "recovered")
            for scorer in ("magnitude", "random")
            for sparsity in (0.5, 0.1)
            for seed in (0, 4)
        ),
    ]


def test_a_line_per_scorer_and_state(sweep: list[dict[str, Any]]) -> None:
    curve = sparsity_curves(sweep)[0]
    assert curve.x_label == "parameters removed, %"
    assert [(line.family, line.state) for line in curve.lines] == [
        ("magnitude", "pruned"),
        ("random", "pruned"),
        ("magnitude", "recovered"),
        ("random", "recovered"),
    ]


def test_points_are_means_over_seeds_in_order_of_sparsity(sweep: list[dict[str, Any]]) -> None:
    line = sparsity_curves(sweep)[0].lines[0]
    assert line.x == pytest.approx((10, 50))
    assert line.y == pytest.approx((50 + 10 + 2, 50 + 50 + 2))  # seeds 0 and 4 add 0 and 4
    assert line.low == pytest.approx((60, 100))
    assert line.high == pytest.approx((64, 104))


def test_one_seed_keeps_its_interval(row: MakeRow) -> None:
    rows = [row("dense"), row("pruned", sparsity=0.1), row("pruned", sparsity=0.5)]
    curves = {curve.title: curve for curve in sparsity_curves(rows)}
    frechet = next(curve for title, curve in curves.items() if title.startswith("Fréchet"))
    assert frechet.level == 50
    assert frechet.lines[0].low == pytest.approx((58, 98))
    psnr = next(curve for title, curve in curves.items() if title.startswith("PSNR"))
    assert psnr.level is None


def test_one_sparsity_makes_no_curves(rows: list[dict[str, Any]]) -> None:
    assert sparsity_curves(rows) == []


def test_what_else_varies_gets_lines_of_its_own(row: MakeRow) -> None:
    rows = [row("dense"), *(row("pruned", sparsity=sparsity) for sparsity in (0.1, 0.5, 0.1, 0.5))]
    for other in rows[3:]:
        other["budget"] = "uniform"
    assert [line.family for line in sparsity_curves(rows)[0].lines] == [
        "magnitude · global",
        "magnitude · uniform",
    ]


def test_colours_follow_families(sweep: list[dict[str, Any]]) -> None:
    assert [entry.colour for entry in legend(sparsity_curves(sweep)[0])] == [0, 1, 0, 1]


def test_a_drawing_uses_the_colours_of_the_page_and_ids_of_its_own() -> None:
    lines = [Line("one", [0, 1], [0, 1], [0, 0], [1, 2]), Line("two", [0, 1], [1, 0], state="pruned")]
    drawing = svg(Curve("T & <t>", "x", "y", lines, level=0.5), "c7")
    assert drawing.startswith("<svg")
    assert "var(--series-0)" in drawing
    assert "var(--series-1)" in drawing
    assert "var(--ink)" in drawing
    assert "http" not in drawing
    ids: list[str] = []

    class Ids(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            ids.extend(value or "" for name, value in attrs if name == "id")

    Ids().feed(drawing)
    assert ids
    assert all(name.startswith("c7-") for name in ids)
    assert "T &amp; &lt;t&gt;" in drawing
    assert "one 0 to 1; two 1 to 0; dense 0.5" in drawing, "in words, for who does not see it"
