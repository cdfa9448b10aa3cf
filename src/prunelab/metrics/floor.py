"""What a distance would be if the model were perfect: real data against real data."""

from collections.abc import Callable

import torch
from torch import Tensor

from prunelab.core.draws import order
from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.metrics.intervals import spread


def floor(distance: Callable[[Tensor, Tensor], Tensor], real: Tensor, groups: int, samples: int) -> Estimate:
    """The distance of ``samples`` real examples to all the other real ones.

    real: (r, d), shuffled once, as data may be sorted. groups: disjoint ones at most, one per sampling
    seed; the mean over them, smallest and largest. Undefined where r is less than twice ``samples``. The
    others are r - samples, so it is measured against slightly less than the model is.
    """
    there = min(groups, len(real) // samples - 1)
    if there < 1:
        return UNDEFINED
    shuffled = real[order(len(real), 0, 0, "floor of distances")]
    rows = torch.arange(len(real)) // samples
    found = [distance(shuffled[rows == group], shuffled[rows != group]) for group in range(there)]
    return spread(torch.stack(found), samples)
