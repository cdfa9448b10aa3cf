"""Scores of samples say how far two halves of these agree, on the screen and beside the scores."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr

from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.magnitude import Magnitude
from prunelab.scorers.wanda import Wanda
from prunelab.stages.bench import Bench, Part
from prunelab.stages.score import load_scores, score
from prunelab.stages.stability import line, load_stability, numbers


def test_a_score_says_how_far_halves_agree_also_from_the_store(
    model: PipelineModel, make_bench: Callable[..., Bench], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, units = make_bench(tmp_path), model.units(["weight"], ["text_encoder"])[:1]
    ranked = [score(bench, Part("wanda", Wanda(samples=4, batch_size=2), {}), units) for _ in range(2)]
    found = load_stability(ranked[0])
    assert found is not None
    agreed = found["spearman"]["text_encoder/weight"]
    assert found == {"samples": 4, "of": 4, "halves": [2, 2], "spearman": {"text_encoder/weight": agreed}}
    said = f"score: ranks by two halves of 4 samples agree by {agreed:.2f} (Spearman)"
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count(said) == 2
    half = score(bench, Part("wanda", Wanda(samples=2, batch_size=2), {"samples": 2}), units)
    assert load_stability(half) is None, "one batch"
    name = units[0].name
    with_first = spearmanr(load_scores(half)[name], load_scores(ranked[0])[name]).statistic
    assert with_first > agreed > 0.5, "the whole holds the first half"
    assert load_stability(score(bench, Part("magnitude", Magnitude(), {}), units)) is None


def test_without_halves_scores_are_the_same_and_nothing_is_said(
    model: PipelineModel, make_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    scorer, units = (
        Part("wanda", Wanda(samples=4, batch_size=2), {}),
        model.units(["weight"], ["text_encoder"]),
    )
    benches = [make_bench(tmp_path / name) for name in ("with", "without")]
    benches[1] = replace(benches[1], hardware=replace(benches[1].hardware, halves=False))
    one, other = (score(bench, scorer, units[:1]) for bench in benches)
    assert one.address == other.address
    assert torch.equal(load_scores(one)[units[0].name], load_scores(other)[units[0].name])
    assert load_stability(one) is not None
    assert load_stability(other) is None


def test_in_words_and_in_numbers() -> None:
    found = {
        "samples": 8,
        "of": 32,
        "halves": [4, 4],
        "spearman": {"a/head": 0.974, "b/head": 0.5, "c/head": None},
    }
    told = "ranks by two halves of 8 of at most 32 samples agree by 0.97 (a/head), 0.50 (b/head) (Spearman)"
    assert line(found) == f"score: {told}"
    assert "cannot be compared" in line({**found, "spearman": {"c/head": None}})
    assert numbers(found) == {"stability/samples": 8, "stability/a/head": 0.974, "stability/b/head": 0.5}
    assert numbers(None) == {}
