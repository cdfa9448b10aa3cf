"""A report from before rows described themselves is read as today's tasks and scorers describe them."""

from typing import Any

import pytest

from prunelab.cli.older_rows import described
from prunelab.report.titles import main_metrics, quantity


def row(task: str, scorer: str | None, *metrics: str) -> dict[str, Any]:
    return {"task": task, "scorer": scorer, "metrics": {name: {} for name in metrics}}


def test_the_task_says_what_its_metrics_are() -> None:
    found = described(row("t2i", "taylor", "psnr", "prompt_accuracy", "prompt_accuracy_seen", "unheard_of"))
    assert main_metrics([found]) == ["prompt_accuracy", "prompt_accuracy_seen"]
    assert quantity([found], "psnr").unit == "dB"
    assert "unheard_of" not in found["quantities"]
    assert "control" not in found
    sounds = described(row("uag", None, "frechet_audio_distance"))
    assert quantity([sounds], "frechet_audio_distance").title == "Fréchet audio distance"


@pytest.mark.parametrize("scorer", ["random", "magnitude"])
def test_controls_are_known_by_their_class(scorer: str) -> None:
    assert described(row("uig", scorer, "psnr"))["control"]


def test_a_metric_that_opens_weights_stays_bare() -> None:
    found = described(row("t2i_clip", "taylor", "clip_score", "ssim"))
    assert set(found["quantities"]) == {"ssim"}


def test_what_is_not_ours_stays_as_it_is() -> None:
    for task in ("mine", "../task/t2i", "*"):
        assert described(row(task, "../random", "psnr")) == row(task, "../random", "psnr")
    said = {**row("t2i", "random", "psnr"), "quantities": {}}
    assert described(said) is said
