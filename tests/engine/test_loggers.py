"""Lightning's own loggers hold what stages log: numbers, tables, distributions, media and settings."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from prunelab.core.errors import Refusal
from prunelab.engine.loggers import Kind, LightningTracker
from prunelab.previews.picture import pictures
from prunelab.previews.sound import sounds
from prunelab.tracking.silent import SilentRun

OUTPUT = "recover-distill-0123456789ab"
PICTURE = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)


def logged(kind: Kind, folder: Path) -> Path:
    """Two attempts at a stage, the second of which goes on where the first was; the folder of its run."""
    for steps in ((1, 2), (3,)):
        with LightningTracker(kind, folder).stage("recover", {"seed": 3}, {"student": "x"}, OUTPUT) as run:
            for step in steps:
                run.log({"loss": 1 / step}, step)
            run.table("plan", ["unit", "removed"], [["a", 1]])
            run.histogram("scores/heads", np.arange(10.0))
            run.show("samples", pictures("", "", PICTURE, ["one", "two"]), step=steps[-1])
            run.show("heard", sounds("", "", np.ones((1, 1, 400), np.int16), 8000, ["a bell"]))
            run.conclude({"distance": 2.0})
            run.keep(folder / "result")
    return folder / kind / "recover" / OUTPUT


def test_csv(tmp_path: Path) -> None:
    first = logged("csv", tmp_path)
    folder = first.with_name(f"{OUTPUT}-2")
    rows = [row for each in (first, folder) for row in csv.DictReader((each / "metrics.csv").open())]
    assert [(row["step"], row["loss"]) for row in rows if row["loss"]] == [
        ("1", "1.0"), ("2", "0.5"), ("3", str(1 / 3)),
    ]  # fmt: skip
    assert [row["distance"] for row in rows if row["distance"]] == ["2.0", "2.0"]
    assert (folder / "plan.csv").read_text().split() == ["unit,removed", "a,1"]
    assert sum(int(row["count"]) for row in csv.DictReader((folder / "scores" / "heads.csv").open())) == 10
    assert np.array_equal(np.asarray(Image.open(folder / "samples-3-1.png")), PICTURE[1])
    assert (folder / "heard-0.wav").read_bytes().startswith(b"RIFF")
    assert settings(folder) == {"seed": 3, "inputs": {"student": "x"}, "output": OUTPUT}


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = logged("tensorboard", tmp_path)
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    assert [each.step for each in events.Scalars("loss")] == [1, 2, 3]
    assert [each.value for each in events.Scalars("loss")] == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert {"samples/0", "samples/1"} <= {*events.Tags()["images"]}
    assert events.Tags()["histograms"] == ["scores/heads"]
    assert settings(folder)["inputs"] == {"student": "x"}


def settings(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "hparams.yaml").read_text())
    return content


def test_other_ranks_log_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with LightningTracker("csv", tmp_path).stage("score", {}, {}, OUTPUT) as run:
        assert isinstance(run, SilentRun)
    assert not list(tmp_path.iterdir())


def test_what_there_is_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="it is tensorboard or csv"):
        LightningTracker("paper", tmp_path)
    for name in ("tensorboard", "tensorboardX"):
        monkeypatch.setattr(f"lightning.fabric.loggers.tensorboard._{name.upper()}_AVAILABLE", False)
    with (
        pytest.raises(Refusal, match="or use logger=csv"),
        LightningTracker("tensorboard", tmp_path).stage("score", {}, {}, OUTPUT),
    ):
        pass
