"""Scores that are trained are kept, resumed and refused like any others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prunelab.artifacts import Store
from prunelab.core.units import Unit
from prunelab.data.digits import Digits
from prunelab.judges.classifier import Judge
from prunelab.models.folders import EMBEDDED
from prunelab.models.pipeline import PipelineModel
from prunelab.schedules.schedule import Schedule
from prunelab.scorers.learned_gates import GateTraining, LearnedGates
from prunelab.stages.bench import Artifact, Bench, Part
from prunelab.stages.score import load_history, load_scores, score, stored_scores
from prunelab.tasks.text_to_image import TextToImage
from prunelab.tracking.silent import SilentTracker
from prunelab.trainers.hardware import Hardware

SCHEDULE = Schedule(steps=4, batch_size=2, learning_rate=0.5, decay="constant", checkpoint_every=1)
SCORER = Part("learned_gates", LearnedGates(SCHEDULE, prompts=2, steps=2, initial=1.0), {"steps": 2})


def bench(model: PipelineModel, root: Path) -> Bench:
    task = TextToImage(Digits(train_size=8, test_size=8), Judge.load(EMBEDDED / "digit_judge"), [])
    return Bench(Store(root), SilentTracker(), Hardware(), model, task)


def units(model: PipelineModel) -> list[Unit]:
    return model.units(["head"], ["denoiser"])[:6]


def scored(model: PipelineModel, root: Path) -> tuple[dict[str, Tensor], Artifact]:
    artifact = score(bench(model, root), SCORER, units(model))
    return load_scores(artifact), artifact


def test_a_killed_scoring_resumes_from_its_checkpoint(
    model: PipelineModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, artifact = scored(model, tmp_path / "straight")
    seen = list[int]()
    loss = GateTraining.loss

    def failing(training: GateTraining, batch: Any) -> dict[str, Tensor]:
        seen.append(int(batch["draws"][0]) // 2)
        if seen == [0, 1, 2]:
            raise KeyError("the power went")
        return loss(training, batch)

    monkeypatch.setattr(GateTraining, "loss", failing)
    with pytest.raises(KeyError, match="the power went"):
        scored(model, tmp_path / "killed")
    assert stored_scores(bench(model, tmp_path / "killed"), SCORER, units(model)) is None
    resumed, again = scored(model, tmp_path / "killed")
    assert seen == [0, 1, 2, 2, 3]
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    assert load_history(artifact) == load_history(again)
    assert [entry["step"] for entry in load_history(again)] == [4]
    assert {"loss", "difference", "penalty"} < set(load_history(again)[0])


def test_one_training_serves_all_sparsities(model: PipelineModel, tmp_path: Path) -> None:
    """The address holds nothing of a budget, so the second call trains nothing."""
    _, first = scored(model, tmp_path)
    before = first.path.stat().st_mtime_ns
    _, second = scored(model, tmp_path)
    assert (first.address, before) == (second.address, second.path.stat().st_mtime_ns)
