"""Runs on pictures and prompts of one's own, and what is refused of them before a model is opened."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

Command = Callable[..., Any]
NO_MODEL = "path=no_model"  # a folder without weights: what is refused all the same is refused before
FEW = (
    "logger=none",
    "granularity=block",
    "evaluation.seeds=1",
    "evaluation.samples=4",
    "evaluation.steps=2",
    "evaluation.batch_size=4",
    "evaluation.timing.batches=[1]",
    "evaluation.timing.warmup=1",
    "evaluation.timing.repeats=2",
)
PROMPTS = (
    "data=prompt_list",
    "data.path=prompts.txt",
    "data.train_size=4",
    "task.labels=[]",
    "recovery=none",
)
NO_MEDIA = ("evaluation.real=0", "evaluation.held_out=0")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands run in, with eight prompts and eight pictures with captions."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    random = np.random.default_rng(0)
    (tmp_path / "no_model").mkdir()
    (tmp_path / "no_model" / "model_index.json").write_text("{}")
    (tmp_path / "pictures").mkdir()
    prompts = [f"a red seven on a {ground} background" for ground in ("black", "blue", "brown", "grey")] * 2
    (tmp_path / "prompts.txt").write_text("\n".join(prompts))
    for i, prompt in enumerate(prompts):
        pixels = random.integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i}.png")
        (tmp_path / "pictures" / f"{i}.txt").write_text(prompt)
    return tmp_path


def refused(ended: Any, *pieces: str) -> None:
    assert (ended.code, ended.out, len(ended.refusals)) == (1, [], 1), ended.err
    for piece in pieces:
        assert piece in ended.refusals[0]


def test_prompts_alone(command: Command, place: Path) -> None:
    """Taylor and recovery see the dense model's own samples, made once, and the report says so."""
    words = (*FEW, *PROMPTS, "recovery=finetune", "scorer=taylor", "evaluation.held_out=4")
    words += ("scorer.samples=6", "scorer.stride=500", "scorer.threshold=null", "recovery.schedule.steps=2")
    words += ("recovery.schedule.batch_size=2", "recovery.schedule.warmup=0")
    ended = command(*words, store=place / "store")
    rows = ended.rows()
    assert rows.keys() == {"dense", "pruned", "recovered"}
    assert ended.computed.count("own") == 2  # of the training split and of the held-out one
    assert "encode" not in ended.computed
    metrics = rows["recovered"]["metrics"]
    for name in ("frechet_distance", "kernel_distance"):
        assert metrics[name]["value"] is None
        assert "no real examples" in metrics[name]["warning"]
    assert 0 < metrics["ssim"]["value"] < 1
    assert rows["pruned"]["metrics"]["output_distance"]["value"] > 0
    report = json.loads((ended.folder / "report.json").read_text())
    assert "own samples in the place of real ones" in report["context"]["examples"]
    assert "own samples" in (ended.folder / "report.html").read_text("utf-8")


def test_videos_of_prompts_alone(command: Command, place: Path) -> None:
    """Through the same class and stages; the report shows their frames side by side."""
    words = ("task=t2v", "weights=random", *FEW, "data.path=prompts.txt", "data.train_size=4")
    words += ("granularity=[head,neuron]", "scorer=magnitude", "recovery=distill", "evaluation.held_out=2")
    words += ("recovery.schedule.steps=1", "recovery.schedule.batch_size=2", "recovery.schedule.warmup=0")
    ended = command(*words, store=place / "store")
    metrics = ended.rows()["recovered"]["metrics"]
    assert 0 < metrics["ssim"]["value"] < 1
    assert metrics["output_distance"]["value"] > 0
    shown = json.loads((ended.folder / "report.json").read_text())["previews"]
    assert {each["medium"] for each in shown} == {"videos"}
    with Image.open(ended.folder / shown[0]["stills"][0]) as strip:
        assert strip.size == (5 * 16, 16)
    few = (*FEW, "data.path=prompts.txt", "data.train_size=4", "evaluation.held_out=2")
    bare = command("task=t2v", *few, store=place / "store")
    refused(bare, "tiny_t2v comes without weights", "weights=random")


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        ((), ("asks for 500 held-out examples, the data has 4", "evaluation.held_out")),
        ((*NO_MEDIA, "evaluation.samples=5"), ("asks for 5 held-out examples, the data has 4",)),
        ((*NO_MEDIA, "task.labels=[digit]"), ("no column 'digit'",)),
        (("evaluation.real=1",), ("evaluation.real=1 is too few: at least 2, or 0 for none",)),
        ((*NO_MEDIA, "data.path=nowhere.txt"), ("cannot open data.path=nowhere.txt",)),
    ],
)
def test_what_prompts_alone_cannot_do(
    command: Command, place: Path, words: tuple[str, ...], pieces: tuple[str, ...]
) -> None:
    refused(command(*FEW, *PROMPTS, *words, NO_MODEL, store=place / "store"), *pieces)


def test_missing_captions_are_refused_before_a_model_is_opened(command: Command, place: Path) -> None:
    pictures = (
        "data=image_folder",
        "data.path=pictures",
        "data.size=32",
        "data.test_size=4",
        "task.labels=[]",
    )
    (place / "pictures" / "3.txt").unlink()
    refused(command(*FEW, *pictures, NO_MODEL, store=place / "store"), "3.png (no caption)", "on_error=skip")
    for file in (place / "pictures").glob("*.txt"):
        file.unlink()
    ended = command(*FEW, *pictures, NO_MODEL, store=place / "store")
    refused(ended, "no column 'caption' (it has image)", "data.caption_column")


@pytest.fixture
def clip(place: Path, clip_folder: Path) -> Path:
    """A CLIP of random weights that knows letters."""
    return shutil.copytree(clip_folder, place / "clip")


def test_pictures_of_ones_own_under_clip(command: Command, place: Path, clip: Path) -> None:
    words = (
        "task=t2i_clip",
        "data.path=pictures",
        "data.size=32",
        "data.test_size=4",
        "judge.path=clip",
        "scorer=magnitude",
        "evaluation.real=4",
        "evaluation.held_out=4",
        "recovery=none",
    )
    ended = command(*FEW, *words, store=place / "store")
    metrics = ended.rows()["pruned"]["metrics"]
    for name in ("frechet_distance", "kernel_distance", "clip_score", "output_distance", "ssim", "psnr"):
        assert metrics[name]["value"] is not None, name
    report = json.loads((ended.folder / "report.json").read_text())
    assert metrics["clip_score"]["n"] == len(set(report["pictures"][0]["captions"])) < 4, "two are the same"
    (place / "pictures").rename(place / "moved")
    moved = command(*FEW, *words, "data.path=moved", store=place / "store")
    assert moved.computed == [], "moved data keep their artifacts"


def test_a_judge_that_is_not_there(command: Command, place: Path) -> None:
    words = ("judge=clip", "judge.path=nowhere", "data.train_size=8", "data.test_size=8", NO_MODEL)
    refused(command(*FEW, *words, store=place / "store"), "no CLIPModel in nowhere", "path=FOLDER")
