"""Recognisable samples against a loop."""

from dataclasses import replace

import pytest
import torch

from prunelab.core.estimates import UNDEFINED
from prunelab.core.samples import Reference, Samples
from prunelab.metrics.recognisable import Recognisable


def test_counts_samples_whose_every_label_is_sure(pruned: Samples, reference: Reference) -> None:
    digits, colours = pruned.confidences["digit"], pruned.confidences["colour"]
    for sure in (0.9, 0.6):
        counted = 0
        for seed in range(2):
            for draw in range(40):
                counted += int(digits[seed, draw] > sure and colours[seed, draw] > sure)
        estimate = Recognisable(sure=sure)(pruned, replace(reference, prompts=[""] * 40))
        assert estimate.value == pytest.approx(counted / 80)
        assert estimate.n == 80, "samples, of which none was asked for anything"
        assert estimate.low <= estimate.value <= estimate.high
    assert 0 < counted < 80


def test_exactly_the_threshold_is_not_enough(pruned: Samples, reference: Reference) -> None:
    even = {"digit": torch.full((2, 40), 0.5)}
    assert Recognisable(sure=0.5)(replace(pruned, confidences=even), reference).value == 0


def test_undefined_where_the_judge_names_nothing(pruned: Samples, reference: Reference) -> None:
    assert Recognisable()(replace(pruned, confidences={}), reference) == UNDEFINED
