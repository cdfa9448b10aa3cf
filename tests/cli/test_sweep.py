"""``prunelab -m``: one scoring, one combined report, and jobs that do not stop each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunelab.report import read_report

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def ended(command: Command, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three sparsities, of which the second asks for more than blocks hold; ``-m`` stands last."""
    store = tmp_path_factory.mktemp("sweep") / "store"
    return command(
        *tiny, "scorer=magnitude", "budget.of=parameters", "sparsity=0.1,0.99,0.3", "-m", store=store
    )


def test_the_jobs_share_what_they_can(ended: Any) -> None:
    assert sorted(ended.computed) == sorted(
        ["dense", "score", "encode", "judge", *["prune"] * 2, *["time"] * 2]
        + [stage for stage in ("cost", "sample", "evaluate") for _state in range(3)]
    )


def test_a_refused_job_is_named_and_stops_no_other(ended: Any) -> None:
    assert ended.code == 1
    assert len(ended.refusals) == 1
    assert "sparsity=0.99" in ended.refusals[0]
    assert "cannot be met" in ended.refusals[0]
    assert "sparsity=0.1," not in ended.refusals[0]


def test_one_report_for_all_in_the_folder_of_the_sweep(ended: Any) -> None:
    folder = Path(ended.out[-1])
    assert len(ended.out) == 1
    assert {path.name for path in folder.iterdir()} >= {"report.html", "report.json", "0", "2"}
    rows = read_report(folder / "report.json")["rows"]
    states = [(row["state"], row["sparsity"]["requested"]) for row in rows]
    assert states == [("dense", None), ("pruned", 0.1), ("pruned", 0.3)]
    for job, row in (("0", rows[1]), ("2", rows[2])):
        assert row in read_report(folder / job / "report.json")["rows"]
        assert (folder / job / "models" / "pruned" / "model_index.json").is_file()


def test_a_sweep_of_which_nothing_is_left(command: Command, tiny: tuple[str, ...], tmp_path: Path) -> None:
    words = ("budget.of=parameters", "granularity=head", "scorer=magnitude", "-m", "sparsity=0.5,0.9")
    ended = command(*tiny, *words, store=tmp_path / "store")
    assert (ended.code, ended.out, ended.computed) == (1, [], [])
    assert ended.err == ended.refusals
    assert ["sparsity=0.5" in ended.err[0], "sparsity=0.9" in ended.err[1]] == [True, True]


def test_a_sweep_ends_with_its_table_and_its_page(ended: Any) -> None:
    folder = Path(ended.out[-1])
    assert f"report: {folder / 'report.html'}" in ended.err
    table = "\n".join(ended.err[-40:])
    assert "Fréchet distance" in table
    assert "30.0 %" in table


def test_a_row_says_what_no_field_of_its_own_says(ended: Any) -> None:
    dense, *pruned = read_report(Path(ended.out[-1]) / "report.json")["rows"]
    assert "settings" not in dense
    for row in pruned:
        assert row["bypass"] == "none"
        assert row["settings"]["evaluation.seeds"] == "2"
        assert "sparsity" not in row["settings"]


def test_plans_of_a_sweep_end_with_the_folder_of_all(
    command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    words = ("scorer=magnitude", "granularity=head", "sparsity=0.1,0.3", "-m")
    ended = command("plan", *tiny, *words, store=tmp_path / "store")
    folder = Path(ended.out[-1])
    assert ended.code == 0
    assert len(ended.out) == 1
    assert sorted(path.parent.name for path in folder.rglob("plan.json")) == ["0", "1"]


def test_a_defect_in_one_job_stops_no_other(
    command: Command, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunelab.scorers.magnitude import Magnitude

    def broken(*_: Any) -> None:
        raise RuntimeError("tensors do\nnot match")

    monkeypatch.setattr(Magnitude, "score", broken)
    ended = command(*tiny, "-m", "scorer=magnitude,random", store=tmp_path / "store")
    assert ended.code == 1
    assert len(ended.refusals) == 1
    assert ended.refusals[0].endswith("scorer=magnitude: RuntimeError: tensors do not match")
    assert any(line.startswith("Traceback") for line in ended.err)
    rows = read_report(Path(ended.out[-1]) / "report.json")["rows"]
    assert [row["scorer"] for row in rows if row["state"] == "pruned"] == ["random"]
