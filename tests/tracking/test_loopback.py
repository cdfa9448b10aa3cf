"""What reaches a W&B server: all of a run, live or by ``wandb sync``; and how little a bad one costs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import KEY, Received, serving
from offline_runs import runs

import prunelab.tracking.wandb as tracking
from prunelab.core.quantities import Quantity
from prunelab.previews.picture import pictures
from prunelab.tracking import wandb_service
from prunelab.tracking.wandb import WandbTracker

PARENT, OUTPUT = "score-magnitude-0123456789ab", "prune-global-0123456789ab"
LONGEST_DELAY = 60.0  # seconds, of a run by all that a server may fail to do


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    with serving() as received:
        monkeypatch.setenv("WANDB_BASE_URL", received.url)
        yield received


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in (
        (tracking, "ANSWER_SECONDS", 5.0),
        (tracking, "UPLOAD_SECONDS", 2.0),
        (wandb_service, "STUCK_SECONDS", 16.0),
    ):
        monkeypatch.setattr(module, name, seconds)


def logged(folder: Path, server: Received | None = None) -> WandbTracker:
    """A stage with one of everything; the server falls silent on the way where it is given."""
    import numpy as np

    tracker = WandbTracker("prunelab", "group-a", folder)
    with tracker.stage("prune", {"seed": 3}, {"scores": PARENT}, OUTPUT, tags=["magnitude"]) as run:
        if server is not None:
            server.mute.set()
        for step in range(3):
            run.log({"loss": 1.0 / (step + 1)}, step)
        run.table("plan", ["unit"], [["a"]])
        run.show("samples", pictures("", "", np.zeros((1, 4, 4, 3), np.uint8), ["nothing"]))
        run.conclude({"distance": 2.0}, {"distance": Quantity("Distance", "lower")})
    return tracker


@pytest.mark.parametrize("way", ["online", "synced"])
def test_a_server_receives_everything(
    tmp_path: Path, server: Received, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "online":
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        assert logged(tmp_path).mode == "online"
    else:
        assert logged(tmp_path).mode == "offline"
        (written,) = (tmp_path / "wandb").glob("offline-run-*")
        command = [sys.executable, "-m", "wandb", "sync", str(written)]
        environment = {**os.environ, "WANDB_API_KEY": KEY, "WANDB_DATA_DIR": str(tmp_path / "wandb")}
        subprocess.run(command, check=True, env=environment, capture_output=True)
    opened = server.named("UpsertBucket")[0]
    assert (opened["name"], opened["groupName"], opened["jobType"]) == (OUTPUT, "group-a", "prune")
    assert "magnitude" in opened["tags"]
    config = "".join(each["config"] for each in server.named("UpsertBucket"))
    assert '"seed":{"value":3}' in config
    assert server.last(OUTPUT, "wandb-summary.json")["distance"] == 2.0
    assert sum("loss" in json.loads(line) for line in server.lines(OUTPUT, "wandb-history.jsonl")) == 3
    suffixes = {Path(name).suffix for name in server.files}
    assert {".png", ".json", ".yaml"} <= suffixes
    made = {each["input"]["artifactCollectionName"] for each in server.named("CreateArtifact")}
    assert {PARENT, OUTPUT} <= made
    assert [each["input"]["artifactID"] for each in server.named("UseArtifact")] == [PARENT]


@pytest.mark.parametrize("when", ["at the start", "once the run is open", "half-way"])
def test_a_silent_server_sends_later_stages_offline_and_all_is_on_the_disk(
    tmp_path: Path,
    server: Received,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    when: str,
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    if when == "at the start":
        server.mute.set()
    server.last_words = "UpsertBucket" if when == "once the run is open" else ""
    tracker = logged(tmp_path, server)
    assert tracker.mode == "offline"
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("W&B")
    wandb_service.put_away()  # it writes as long as it lives
    found = [each for each in runs(tmp_path) if each.history]
    assert [each.run.run_id for each in found] == [OUTPUT]
    assert found[0].series("loss") == [1.0, 1 / 2, 1 / 3]
    assert found[0].summary["distance"] == 2.0
    with tracker.stage("recover", {}, {"student": OUTPUT}, "recover-distill-0123456789ab") as run:
        run.log({"loss": 1.0})
    assert len(list((tmp_path / "wandb").glob("offline-run-*-recover-*"))) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_no_wait_for_a_server_is_longer_than_a_minute() -> None:
    """A wait that fails is the last one, so the longest of them is all that there is."""
    longest = max(tracking.ANSWER_SECONDS, tracking.UPLOAD_SECONDS) + wandb_service.STUCK_SECONDS
    assert longest < LONGEST_DELAY
