"""``prunelab -m``: one scoring, one combined report, and jobs that do not stop each other."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prunelab
from prunelab.report import read_report

Command = Callable[..., Any]
SOURCES = str(Path(prunelab.__file__).parents[1])  # launchers start processes of their own


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all of this file's sweeps: what the first has computed, no other computes again."""
    return tmp_path_factory.mktemp("sweep") / "store"


@pytest.fixture(scope="module")
def words(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """A sweep over sparsities, which are still to be said."""
    return (*tiny, "scorer=magnitude", "budget.of=parameters", "-m")


@pytest.fixture(scope="module")
def ended(command: Command, words: tuple[str, ...], store: Path) -> Any:
    """Three sparsities, of which the second asks for more than blocks hold."""
    return command(*words, "sparsity=0.1,0.99,0.3", store=store)


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
    sweep = ("budget.of=parameters", "granularity=head", "scorer=magnitude", "-m", "sparsity=0.5,0.9")
    ended = command(*tiny, *sweep, store=tmp_path / "store")
    assert (ended.code, ended.out, ended.computed) == (1, [], [])
    assert ["sparsity=0.5" in ended.refusals[0], "sparsity=0.9" in ended.refusals[1]] == [True, True]
    assert ended.err[-1] == "0 of 2 jobs are done; the same command tries the others again"


def test_a_sweep_ends_with_its_table_and_its_page(ended: Any) -> None:
    folder = Path(ended.out[-1])
    assert f"report: {folder / 'report.html'}" in ended.err
    table = "\n".join(ended.err[-42:])
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
    sweep = ("scorer=magnitude", "granularity=head", "sparsity=0.1,0.3", "-m")
    ended = command("plan", *tiny, *sweep, store=tmp_path / "store")
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


def test_each_job_announces_itself_by_what_differs(ended: Any) -> None:
    said = [line for line in ended.err if line.startswith("job ")]
    assert said == ["job 1/3: sparsity=0.1", "job 2/3: sparsity=0.99", "job 3/3: sparsity=0.3"]


def test_the_same_command_goes_on_with_what_is_left(
    command: Command, words: tuple[str, ...], store: Path, ended: Any
) -> None:
    """In the same folder, and without a look at what is done; another command has one of its own."""
    again = command(*words, "sparsity=0.1,0.99,0.3", store=store)
    assert (again.code, again.out, again.computed) == (1, ended.out, [])
    assert again.err[0].startswith("resuming the sweep in multirun/")
    assert [line.partition(" is done")[0] for line in again.err if line.startswith("job ")] == [
        *("job 1/3: sparsity=0.1", "job 3/3: sparsity=0.3", "job 2/3: sparsity=0.99")
    ]
    assert again.refusals == ended.refusals
    record = json.loads((Path(ended.out[-1]) / "1" / "job.json").read_text())
    assert [attempt["failure"] for attempt in record["attempts"]] == ["refused", "refused"]


@pytest.mark.parametrize("launcher", ["joblib hydra.launcher.n_jobs=2", "submitit_local"])
def test_a_launcher_that_leaves_the_process_changes_nothing(
    command: Command, words: tuple[str, ...], store: Path, ended: Any, launcher: str
) -> None:
    sweep = (*words, "sparsity=0.1,0.99", *f"hydra/launcher={launcher}".split())
    other = command(*sweep, store=store, environment={"PYTHONPATH": SOURCES})
    assert (other.code, other.refusals) == (1, ended.refusals)
    assert found(other) == found(ended)[:2]


def found(ended: Any) -> list[dict[str, Any]]:
    """The rows of a sweep's report without the date and the command that made them."""
    rows = read_report(Path(ended.out[-1]) / "report.json")["rows"]
    return [{key: value for key, value in row.items() if key != "provenance"} for row in rows]


def test_status_and_collect_read_what_the_jobs_left(command: Command, store: Path, ended: Any) -> None:
    folder = Path(ended.out[-1])
    told = command("status", str(folder.parent), store=store)
    assert told.code == 0
    assert told.out[0] == f"{folder}: 3 jobs of basic: 2 done, 1 failed"
    assert told.out[2].startswith("    2 failed   sparsity=0.99: refused (")
    shutil.rmtree(folder / "0")
    copied = command("collect", f"path={folder}", store=store)
    assert (copied.code, copied.out) == (0, [str(folder)])
    assert copied.err[-1] == "1 of 3 jobs are done"
    rows = read_report(folder / "report.json")["rows"]
    assert [row["sparsity"]["requested"] for row in rows] == [None, 0.3]


def test_a_folder_without_a_sweep_is_refused(command: Command, tmp_path: Path) -> None:
    for words in (["status"], ["status", "not/there"], ["collect", str(tmp_path)], ["status", "store=a"]):
        refused = command(*words, store=tmp_path / "store")
        assert (refused.code, len(refused.err), refused.out) == (1, 1, []), words
