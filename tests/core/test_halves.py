"""Halves of samples: what is told of them, in numbers."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from prunelab.core import halves
from prunelab.core.halves import Averaged, Reading, agreements, between_batches, rounds
from prunelab.core.observation import EARLY
from prunelab.core.units import Gate, Unit

SIZES = {"a#head": 5, "b#head": 4, "c#channel": 3}
UNITS = [
    Unit("denoiser", name[0], name[2:], size, (), Gate(name[0], "input"), name[0])
    for name, size in SIZES.items()
]


def made(seed: int = 0) -> tuple[Averaged, list[dict[str, Tensor]]]:
    """Scores that are means over 6 samples, and the means over the first 4 and the last 2."""
    random = torch.Generator().manual_seed(seed)
    samples = {u.name: torch.rand(6, u.elements, dtype=torch.float64, generator=random) for u in UNITS}
    sums = {name: each.sum(dim=0) for name, each in samples.items()}
    sums |= {f"{EARLY}{name}": each[:4].sum(dim=0) for name, each in samples.items()}
    reading = Reading(UNITS, lambda unit, own: {"": own[unit.name]}, lambda _, own, count: own[""] / count)
    parts = [
        {name: each[part].mean(dim=0) for name, each in samples.items()} for part in (slice(4), slice(4, 6))
    ]
    return Averaged(sums, 6, 4, reading), parts


def test_agreement_is_of_everything_that_is_ranked_together() -> None:
    scores, (one, other) = made()
    heads = [torch.cat([half["denoiser/a#head"], half["denoiser/b#head"]]) for half in (one, other)]
    channels = [half["denoiser/c#channel"] for half in (one, other)]
    expected = {
        "denoiser/head": spearmanr(*heads).statistic,
        "denoiser/channel": spearmanr(*channels).statistic,
    }
    assert agreements(scores, UNITS, {}) == pytest.approx(expected, abs=1e-12)


def test_what_went_before_has_no_rank_and_too_few_have_none() -> None:
    scores, (one, other) = made()
    kept = {"denoiser/a#head": torch.tensor([True, False, True, True, False])}
    kept["denoiser/c#channel"] = torch.tensor([True, False, False])
    left = [torch.cat([half["denoiser/a#head"][[0, 2, 3]], half["denoiser/b#head"]]) for half in (one, other)]
    found = agreements(scores, UNITS, kept)
    assert found == {"denoiser/head": pytest.approx(spearmanr(*left).statistic), "denoiser/channel": None}


def test_of_very_many_elements_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "MOST", 5)
    scores, (one, other) = made()
    some = [torch.cat([half["denoiser/a#head"][::2], half["denoiser/b#head"][::2]]) for half in (one, other)]
    assert agreements(scores, UNITS[:2], {})["denoiser/head"] == pytest.approx(spearmanr(*some).statistic)


def test_halves_are_whole_batches_and_rounds_double() -> None:
    cuts = {
        (32, 16): 16,
        (48, 16): 32,
        (40, 16): 16,
        (16, 16): 0,
        (8, 64): 0,
        (5, 2): 2,
        (2, 1): 1,
        (1, 1): 0,
    }
    assert {asked: between_batches(*asked) for asked in cuts} == cuts
    ends = {1: [1], 2: [1, 2], 5: [2, 4, 5], 8: [4, 8], 32: [4, 8, 16, 32], 20: [4, 8, 16, 20]}
    for samples, expected in ends.items():
        parts = rounds(samples)
        assert [part.stop for part in parts] == expected
        assert [number for part in parts for number in part] == list(range(samples))
