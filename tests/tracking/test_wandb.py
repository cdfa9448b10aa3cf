"""An offline W&B run holds what was logged; without wandb the tracker refuses and the silent one works."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import prunelab.tracking.wandb as tracking
from prunelab.core.errors import Refusal
from prunelab.core.previews import Preview
from prunelab.core.waveforms import from_wav
from prunelab.previews.picture import pictures
from prunelab.previews.sound import sounds
from prunelab.tracking.silent import SilentRun
from prunelab.tracking.wandb import WandbTracker

OUTPUT = "score-magnitude-tiny-0123456789ab"


def summary(run: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(run)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_an_offline_run_reads_back(tmp_path: Path) -> None:
    picture = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3) % 2
    tracker = WandbTracker("prunelab", "group-a", tmp_path)
    assert tracker.mode == "offline"
    with tracker.stage("score", {"seed": 3, "scorer": {"p": 2}}, {"model": "model-tiny-1"}, OUTPUT) as run:
        run.log({"loss": 1.5}, step=0)
        run.log({"loss": 0.25}, step=1)
        run.table("scores", ["unit", "score"], [["a", 1.0], ["b", 2.0]])
        run.show("preview", pictures("", "", picture, ["red 3", "blue 4"]))
    (written,) = (tmp_path / "wandb").glob("offline-run-*")
    seen = summary(written)
    expected = {"seed": 3, "scorer": {"p": 2}, "inputs": {"model": "model-tiny-1"}, "output": OUTPUT}
    assert {key: seen["config"][key] for key in expected} == expected
    assert (seen["name"], seen["project"], seen["state"]) == (OUTPUT, "prunelab", "finished")
    assert seen["summary"]["loss"] == 0.25
    assert seen["summary"]["scores"]["nrows"] == 2
    assert seen["summary"]["preview"]["captions"] == ["red 3", "blue 4"]
    check_media(written, picture)


def check_media(written: Path, picture: np.ndarray) -> None:
    (table,) = written.glob("files/media/table/*.json")
    assert json.loads(table.read_text()) == {"columns": ["unit", "score"], "data": [["a", 1.0], ["b", 2.0]]}
    stored = [np.asarray(Image.open(path)) for path in written.rglob("*.png")]
    assert all(any(np.array_equal(image, one) for one in stored) for image in picture)


def test_sounds_are_logged_without_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    waveforms = np.random.default_rng(0).integers(-9000, 9000, size=(2, 1, 400)).astype(np.int16)
    with WandbTracker("prunelab", None, tmp_path).stage("sample", {}, {}, OUTPUT) as run:
        run.show("samples", sounds("", "", waveforms, 8000, ["a bell", "a snare"]))
        run.show("films", Preview("", "", ["a turn"], [b""], [b"GIF89a"], "image/gif", "films"))
    (written,) = (tmp_path / "wandb").glob("offline-run-*")
    seen = summary(written)["summary"]
    told = [seen[f"samples/{number}"] for number in (0, 1)]
    assert [(one["_type"], one["caption"]) for one in told] == [
        ("audio-file", "a bell"),
        ("audio-file", "a snare"),
    ]
    film = seen["films/0"]
    assert (film["_type"], film["caption"]) == ("video-file", "a turn")
    assert (written / "files" / film["path"]).read_bytes() == b"GIF89a"
    stored = [from_wav((written / "files" / one["path"]).read_bytes()) for one in told]
    assert [rate for _, rate in stored] == [8000, 8000]
    assert np.array_equal(np.stack([samples for samples, _ in stored]), waveforms)


def test_job_type_and_group_are_recorded(tmp_path: Path) -> None:
    with WandbTracker("prunelab", "group-a", tmp_path).stage("prune", {}, {}, OUTPUT):
        pass
    (written,) = (tmp_path / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(written)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    run = next(record["run"] for record in map(json.loads, lines) if record["type"] == "run")
    assert (run["job_type"], run["run_group"]) == ("prune", "group-a")


def test_a_job_lists_what_is_installed_and_its_stages_do_not(tmp_path: Path) -> None:
    """W&B looks through all of it for every run, of which a job has many."""
    for label in ("", "a job"):
        with WandbTracker("prunelab", None, tmp_path / label).stage("prune", {}, {}, OUTPUT, label=label):
            pass
        lists = [
            each.read_text() for each in (tmp_path / label).glob("wandb/offline-run-*/files/requirements.txt")
        ]
        assert ["torch==" in each for each in lists] == ([True] if label else [])


def test_a_stage_that_fails_is_a_failed_run(tmp_path: Path) -> None:
    tracker = WandbTracker("prunelab", None, tmp_path)
    with pytest.raises(ZeroDivisionError), tracker.stage("score", {}, {}, OUTPUT):
        _ = 1 / 0
    (written,) = (tmp_path / "wandb").glob("offline-run-*")
    assert summary(written)["exit_code"] == 1


def test_the_environment_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_DATA_DIR", raising=False)
    with WandbTracker("prunelab", None, tmp_path).stage("score", {}, {}, OUTPUT):
        assert tracking.os.environ["WANDB_DATA_DIR"] == str(tmp_path / "wandb")
    assert "WANDB_DATA_DIR" not in tracking.os.environ


@pytest.mark.parametrize(
    ("asked", "environment", "has_key", "expected"),
    [
        (None, None, False, "offline"),
        (None, None, True, "online"),
        (None, "online", False, "offline"),
        (None, "offline", True, "offline"),
        ("offline", None, True, "offline"),
        ("online", "offline", True, "offline"),
        (None, "disabled", True, "disabled"),
    ],
)
def test_mode(asked: tracking.Mode | None, environment: str | None, has_key: bool, expected: str) -> None:
    assert tracking._mode(asked, environment, has_key) == expected


def test_a_key_is_found_in_the_environment_or_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not tracking._has_key("https://wandb.example")
    (tmp_path / "no-netrc").write_text("machine wandb.example login user password secret\n")
    assert tracking._has_key("https://wandb.example")
    assert not tracking._has_key("https://other.example")
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert tracking._has_key("https://other.example")


def test_a_server_that_refuses_sends_the_run_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "a" * 40
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(tracking, "ANSWER_SECONDS", 0.2)
    tracker = WandbTracker("prunelab", None, tmp_path, mode="online")
    with tracker.stage("score", {"seed": 1}, {"model": "model-tiny-1"}, OUTPUT) as run:
        run.log({"loss": 1.0})
    assert tracker.mode == "offline"
    assert "logging offline" in capsys.readouterr().err
    (written,) = (tmp_path / "wandb").glob("offline-run-*")
    assert summary(written)["summary"]["loss"] == 1.0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if key.encode() in path.read_bytes()]


def test_other_ranks_log_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with WandbTracker("prunelab", None, tmp_path).stage("score", {}, {}, OUTPUT) as run:
        assert isinstance(run, SilentRun)
    assert not (tmp_path / "wandb").exists()


def test_without_wandb_it_refuses_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(Refusal, match="pip install wandb, or use logger=none"):
        WandbTracker("prunelab", None, tmp_path)


def test_the_silent_tracker_needs_no_wandb_and_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['wandb'] = None\n"
        "from prunelab.core.previews import Preview\n"
        "import prunelab.tracking.wandb\n"
        "from prunelab.tracking.silent import SilentTracker\n"
        "with SilentTracker().stage('score', {}, {}, 'x') as run:\n"
        "    run.log({'a': 1.0}, step=1); run.table('t', ['a'], [[1]])\n"
        "    run.show('i', Preview('', '', [], []))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
