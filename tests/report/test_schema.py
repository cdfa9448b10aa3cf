"""Rows that break the schema are named where they break it; unknown versions are refused."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from prunelab.core.errors import Refusal
from prunelab.report import Curve, Line, write_report
from prunelab.report.schema import check_row, read_report

DOCUMENT = Path(__file__).parents[2] / "docs" / "report.md"


def set_in(row: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for name in parents:
        row = row[name]
    row[last] = value


def fields(value: object) -> set[str]:
    """Names of fields, as opposed to the names of metrics, settings and components."""
    if not isinstance(value, dict):
        return set()
    free = {"denoiser", "denoiser_b1", "frechet_distance", "prompt_accuracy", "psnr"}
    return (value.keys() - free) | {name for part in value.values() for name in fields(part)}


def test_the_schema_beside_the_page_says_the_same(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """What other programs validate with takes what is written, and refuses what is refused here."""
    write_report(tmp_path, rows, [], [Curve("loss", "step", "", [Line("a", [0], [1.0])])], {"any": 1})
    validator = Draft202012Validator(json.loads(DOCUMENT.with_name("report.schema.json").read_text("utf-8")))
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert list(validator.iter_errors(report)) == []
    del report["rows"][1]["sparsity"]["macs"]
    (error,) = validator.iter_errors(report)
    assert "'macs' is a required property" in error.message


def test_good_rows_pass(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        check_row(row)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: set_in(row, "granularity", "head"),
        lambda row: set_in(row, "sparsity.requested", {"denoiser": 0.3, "text_encoder": 0}),
        lambda row: set_in(row, "cost.latency_ms.denoiser_b1.low", 9.0),
        lambda row: set_in(row, "cost.components.denoiser.disk_bytes", 12),
        lambda row: set_in(row, "metrics", {}),
        lambda row: set_in(row, "metrics.frechet_distance.floor", deepcopy(row["metrics"]["psnr"])),
        lambda row: set_in(row, "metrics.frechet_distance.warning", "few samples"),
    ],
)
def test_variants_that_are_allowed(
    rows: list[dict[str, Any]], change: Callable[[dict[str, Any]], None]
) -> None:
    change(rows[1])
    check_row(rows[1])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("state", "shrunk"),
        ("task", None),
        ("scorer", 3),
        ("granularity", [1]),
        ("seed", 1.5),
        ("seed", True),
        ("address", ""),
        ("sparsity.requested", "0.3"),
        ("sparsity.macs", float("nan")),
        ("sparsity.latency", 0.1),
        ("metrics.psnr.value", float("inf")),
        ("metrics.frechet_distance.low", None),
        ("metrics.psnr.mean", 1.0),
        ("metrics.frechet_distance.floor", 3.0),
        ("metrics.frechet_distance.floor", {"value": 1.0, "low": None, "high": 2.0, "n": 3}),
        ("metrics.frechet_distance.warning", ""),
        ("quantities.psnr", "dB"),
        ("quantities.psnr", {"unit": "dB"}),
        ("quantities.psnr", {"title": "PSNR", "better": "up"}),
        ("quantities.psnr", {"title": "PSNR", "colour": "red"}),
        ("quantities.psnr.percent", 1),
        ("cost.parameters", 10.5),
        ("cost.parameters", -1),
        ("cost.latency_ms.denoiser_b1.p95", None),
        ("cost.latency_ms.denoiser_b1.mean", 1.0),
        ("cost.components.denoiser.flops", 1),
        ("extra", 1),
    ],
)
def test_a_wrong_field_is_named(rows: list[dict[str, Any]], path: str, value: object) -> None:
    broken = deepcopy(rows[1])
    set_in(broken, path, value)
    with pytest.raises(AssertionError) as caught:
        check_row(broken)
    parts = path.split(".")
    assert parts[-1] in str(caught.value) or parts[1] in str(caught.value)


@pytest.mark.parametrize("name", ["state", "sparsity", "metrics", "cost", "address"])
def test_a_missing_field_is_named(rows: list[dict[str, Any]], name: str) -> None:
    del rows[0][name]
    with pytest.raises(AssertionError, match=rf"row\.{name}: Field required"):
        check_row(rows[0])


@pytest.mark.parametrize("content", [{"schema": 2, "rows": []}, {"rows": []}, [1]])
def test_an_unknown_schema_is_refused(tmp_path: Path, content: object) -> None:
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(Refusal, match=r"reads schema 1"):
        read_report(tmp_path / "report.json")


def test_every_field_is_documented(rows: list[dict[str, Any]]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    names = {name for row in rows for name in fields(row)}
    assert {"seed", "requested", "p95", "macs_without_attention"} <= names
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
