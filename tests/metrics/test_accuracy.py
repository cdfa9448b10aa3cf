"""Joint prompt-following against a loop."""

from dataclasses import replace

import pytest
import torch

from prunelab.core.estimates import UNDEFINED
from prunelab.core.samples import Reference, Samples
from prunelab.metrics.accuracy import PromptAccuracy


def test_counts_samples_that_are_right_in_every_label(pruned: Samples, reference: Reference) -> None:
    right = 0
    for seed in range(2):
        for draw in range(40):
            digit = pruned.predictions["digit"][seed, draw] == reference.labels["digit"][draw]
            colour = pruned.predictions["colour"][seed, draw] == reference.labels["colour"][draw]
            right += int(digit and colour)
    estimate = PromptAccuracy()(pruned, reference)
    assert estimate.value == pytest.approx(right / 80)
    assert estimate.n == 40, "prompts"
    assert estimate.low < estimate.value < estimate.high


def test_draws_of_one_prompt_are_one_unit(pruned: Samples, reference: Reference) -> None:
    same = replace(reference, prompts=[f"prompt {i // 2}" for i in range(40)])
    assert PromptAccuracy()(pruned, same).n == 20


def test_all_right_is_one(pruned: Samples, reference: Reference) -> None:
    perfect = {name: asked.expand(2, -1) for name, asked in reference.labels.items()}
    estimate = PromptAccuracy()(replace(pruned, predictions=perfect), reference)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert 0.9 < estimate.low < 1, "forty prompts do not prove it of all"


def test_undefined_where_nothing_was_asked_for(pruned: Samples, reference: Reference) -> None:
    assert PromptAccuracy()(pruned, replace(reference, labels={})) == UNDEFINED


def test_labels_nobody_asked_for_do_not_count(pruned: Samples, reference: Reference) -> None:
    extra = {**pruned.predictions, "size": torch.zeros(2, 40, dtype=torch.int64)}
    assert PromptAccuracy()(replace(pruned, predictions=extra), reference) == PromptAccuracy()(
        pruned, reference
    )
