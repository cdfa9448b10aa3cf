"""Cliffs found in the published tables of the study of Stable Diffusion 2, read off by eye."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunelab.report import write_combined, write_report
from prunelab.report.cliff import cliff_markdown, cliffs

DENSE = 18.07
UNET = {
    0.1: 16.22,
    0.2: 16.42,
    0.3: 16.15,
    0.35: 18.81,
    0.4: 25.38,
    0.425: 30.31,
    0.45: 38.82,
    0.5: 72.30,
    0.6: 234.12,
}
TEXT = {
    "magnitude": {0.3: 17.15, 0.5: 18.06, 0.575: 20.26, 0.6: 27.21, 0.625: 61.66, 0.65: 134.24, 0.8: 268.68},
    "wanda": {0.3: 16.42, 0.5: 17.75, 0.575: 26.71, 0.6: 79.54, 0.625: 145.59, 0.8: 195.41},
}  # fmt: skip

MakeRow = Callable[..., dict[str, Any]]


def measured(
    row: MakeRow, scorer: str, component: str, share: float, value: float, seed: int = 0
) -> dict[str, Any]:
    made = row("pruned", scorer=scorer, sparsity=share, seed=seed)
    made["sparsity"]["requested"] = {component: share}
    made["metrics"]["frechet_distance"] = {"value": value, "low": value, "high": value, "n": 10_000}
    made["address"] += component
    return made


@pytest.fixture
def study(row: MakeRow) -> list[dict[str, Any]]:
    dense = row("dense")
    dense["metrics"]["frechet_distance"] = {"value": DENSE, "low": DENSE, "high": DENSE, "n": 10_000}
    unet = [measured(row, "magnitude", "denoiser", share, value) for share, value in UNET.items()]
    text = [
        measured(row, scorer, "text_encoder", share, value)
        for scorer, table in TEXT.items()
        for share, value in table.items()
    ]
    both = row("pruned", sparsity=0.5)
    both["sparsity"]["requested"] = {"denoiser": 0.5, "text_encoder": 0.5}
    return [dense, *unet, *text, both]


def test_cliffs_of_the_published_tables(study: list[dict[str, Any]]) -> None:
    found = {(cliff.component, cliff.label): (cliff.before, cliff.at) for cliff in cliffs(study)}
    assert found == {
        ("denoiser", "magnitude"): (0.425, 0.45),
        ("text_encoder", "magnitude"): (0.6, 0.625),
        ("text_encoder", "wanda"): (0.575, 0.6),
    }


def test_a_dip_beyond_the_edge_moves_the_cliff(row: MakeRow, study: list[dict[str, Any]]) -> None:
    rows = [*study[:1], *(measured(row, "magnitude", "denoiser", s, v) for s, v in
                          {0.1: 17.0, 0.2: 99.0, 0.3: 20.0, 0.4: 99.0, 0.5: 120.0}.items())]  # fmt: skip
    assert [(cliff.before, cliff.at) for cliff in cliffs(rows)] == [(0.3, 0.4)]


def test_what_never_breaks_and_what_always_did(row: MakeRow, study: list[dict[str, Any]]) -> None:
    def of(values: list[float]) -> list[tuple[float | None, float | None]]:
        rows = [measured(row, "magnitude", "denoiser", 0.1 * (i + 1), v) for i, v in enumerate(values)]
        return [(cliff.before, cliff.at) for cliff in cliffs([study[0], *rows])]

    assert of([17.0, 18.0]) == [(0.2, None)]
    assert of([50.0, 60.0]) == [(None, 0.1)]
    assert of([50.0]) == []  # one share is no ladder


def test_seeds_are_averaged_before_judging(row: MakeRow, study: list[dict[str, Any]]) -> None:
    rows = [measured(row, "magnitude", "denoiser", 0.1, 18.0)]
    rows += [
        measured(row, "magnitude", "denoiser", 0.2, value, seed) for seed, value in enumerate((10.0, 70.0))
    ]
    found = cliffs([study[0], *rows])
    assert [(cliff.at, cliff.measured[0.2]["frechet_distance"]) for cliff in found] == [(0.2, 40.0)]


def test_a_metric_to_be_raised_breaks_downwards(row: MakeRow) -> None:
    rows = [row("dense")]
    for share, value in {0.1: 0.8, 0.2: 0.46, 0.3: 0.4}.items():
        rows.append(measured(row, "magnitude", "denoiser", share, 1.0))
        rows[-1]["metrics"]["prompt_accuracy"]["value"] = value
    assert [cliff.at for cliff in cliffs(rows)] == [0.3]  # dense 0.9, half of it 0.45


def test_the_sweep_report_names_them(study: list[dict[str, Any]], tmp_path: Path) -> None:
    write_report(tmp_path / "job", study, [], [], {})
    page = write_combined(tmp_path / "sweep", [tmp_path / "job"]).read_text(encoding="utf-8")
    assert "Breaking point per component" in page
    summary = (tmp_path / "sweep" / "summary.md").read_text(encoding="utf-8")
    assert "| pruned | wanda | text_encoder | 60.0 % | 57.5 % |" in summary
    assert cliff_markdown([]) == ""


def test_sweeps_over_something_else_have_none(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert cliffs(rows) == []
    assert "Breaking point" not in write_report(tmp_path, rows, [], [], {}).read_text(encoding="utf-8")
