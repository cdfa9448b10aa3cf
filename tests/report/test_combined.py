"""A sweep's report: each evaluation once, in order; broken jobs left out by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunelab.core.errors import Refusal
from prunelab.core.previews import Preview
from prunelab.report import beside, combine, read_report, write_combined, write_report

MakeRow = Callable[..., dict[str, Any]]
MakePicture = Callable[..., Preview]


@pytest.fixture
def jobs(tmp_path: Path, row: MakeRow, picture: MakePicture) -> list[Path]:
    folders = []
    for number, (scorer, sparsity) in enumerate([("magnitude", 0.1), ("magnitude", 0.5), ("random", 0.5)]):
        rows = [row("dense"), row("pruned", scorer, sparsity), row("recovered", scorer, sparsity)]
        shown = [picture("dense", 0), picture("pruned", 10 + number), picture("recovered", 20 + number)]
        folders.append(write_report(tmp_path / f"job{number}", rows, shown, [], {}).parent)
    return folders


def test_the_dense_row_comes_once_and_first(jobs: list[Path]) -> None:
    states = [(row["state"], row["scorer"], row["sparsity"]["requested"]) for row in combine(jobs)]
    assert states == [
        ("dense", None, None),
        ("pruned", "magnitude", 0.1),
        ("recovered", "magnitude", 0.1),
        ("pruned", "magnitude", 0.5),
        ("recovered", "magnitude", 0.5),
        ("pruned", "random", 0.5),
        ("recovered", "random", 0.5),
    ]


def test_other_measurements_of_one_address_are_kept(tmp_path: Path, row: MakeRow) -> None:
    other = row("dense")
    other["metrics"]["frechet_distance"]["value"] += 1
    for name, one in (("a", row("dense")), ("b", other)):
        write_report(tmp_path / name, [one], [], [], {})
    assert len(combine([tmp_path / "a", tmp_path / "b"])) == 2


def test_combined_report_has_rows_curves_and_pictures(tmp_path: Path, jobs: list[Path]) -> None:
    page = write_combined(tmp_path / "sweep", [job / "report.json" for job in jobs])
    report = read_report(tmp_path / "sweep" / "report.json")
    assert report["rows"] == combine(jobs)
    html = page.read_text(encoding="utf-8")
    assert "Quality against sparsity" in html
    assert "magnitude, recovered" in html
    labels = [(entry["state"], entry["label"]) for entry in report["pictures"]]
    assert labels == [
        ("dense", ""),
        ("pruned", "magnitude · 10 % of parameters"),
        ("recovered", "magnitude · 10 % of parameters"),
        ("pruned", "magnitude · 50 % of parameters"),
        ("recovered", "magnitude · 50 % of parameters"),
        ("pruned", "random · 50 % of parameters"),
        ("recovered", "random · 50 % of parameters"),
    ]


def test_old_rows_are_timed_against_the_dense_model_of_their_own_job(tmp_path: Path, row: MakeRow) -> None:
    for name, slow in (("a", 1), ("b", 5)):
        dense, pruned = row("dense", median=slow * 10.0), row("pruned", name, median=slow * 5.0)
        write_report(tmp_path / name, [dense, pruned], [], [], {})
    rows = combine([tmp_path / "a", tmp_path / "b"])
    medians = [one["cost"]["dense_latency_ms"]["denoiser_b1"]["median"] for one in rows[1:]]
    assert medians == [10.0, 50.0]
    assert "dense_latency_ms" not in rows[0]["cost"]


def test_a_sweep_and_its_jobs_are_shown_once(tmp_path: Path, jobs: list[Path]) -> None:
    once = write_combined(tmp_path / "sweep", jobs)
    again = write_combined(tmp_path / "all", [once.parent, *jobs])
    assert read_report(again.with_name("report.json")) == read_report(once.with_name("report.json"))
    alone = write_combined(tmp_path / "alone", [once.parent, jobs[0]])
    assert read_report(alone.with_name("report.json"))["rows"] == combine(jobs), "jobs that are gone stay"


def test_pictures_survive_the_way_through_the_disk(
    tmp_path: Path, jobs: list[Path], picture: MakePicture
) -> None:
    write_combined(tmp_path / "sweep", jobs)
    read = beside.read(tmp_path / "sweep", read_report(tmp_path / "sweep" / "report.json"))
    assert read[3].stills == picture("pruned", 11).stills, "bytes of equal pixels are equal"
    assert read[3].captions == picture("pruned", 11).captions


def test_missing_and_broken_jobs_are_named_and_left_out(
    tmp_path: Path, jobs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = (jobs[0] / "report.json").read_text(encoding="utf-8")
    (jobs[0] / "report.json").write_text(text[:100], encoding="utf-8")
    rows = combine([*jobs, tmp_path / "nowhere"])
    assert len(rows) == 5
    left_out = capsys.readouterr().err.splitlines()
    assert len(left_out) == 2
    assert str(jobs[0]) in left_out[0]
    assert "broken" in left_out[0]
    assert "nowhere" in left_out[1]
    assert "missing" in left_out[1]


def test_nothing_left_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="none of 1 jobs"):
        write_combined(tmp_path / "sweep", [tmp_path / "nowhere"])


def test_a_broken_picture_is_refused(tmp_path: Path, jobs: list[Path]) -> None:
    next((jobs[0] / "pictures").glob("*.png")).write_bytes(b"not a picture")
    with pytest.raises(Refusal, match="cannot be read as a picture"):
        write_combined(tmp_path / "sweep", jobs)
