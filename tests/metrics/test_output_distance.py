"""Output distance against a loop, and 0 for the dense model itself."""

from dataclasses import replace

import pytest
import torch

from prunelab.core.estimates import UNDEFINED
from prunelab.core.samples import Reference, Samples
from prunelab.metrics.output_distance import OutputDistance


def test_is_the_mean_of_squared_differences(pruned: Samples, reference: Reference) -> None:
    ours, dense = pruned.outputs.flatten().tolist(), reference.dense.outputs.flatten().tolist()
    expected = sum((a - b) ** 2 for a, b in zip(ours, dense, strict=True)) / len(ours)
    estimate = OutputDistance()(pruned, reference)
    assert estimate.value == pytest.approx(expected)
    assert estimate.n == 6
    assert estimate.low < estimate.value < estimate.high


def test_the_dense_model_is_at_no_distance(dense: Samples, reference: Reference) -> None:
    estimate = OutputDistance()(dense, reference)
    assert (estimate.value, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


def test_without_outputs_there_is_no_distance(pruned: Samples, reference: Reference) -> None:
    none = torch.empty(0)
    held = replace(reference, dense=replace(reference.dense, outputs=none))
    assert OutputDistance()(replace(pruned, outputs=none), held) == UNDEFINED
