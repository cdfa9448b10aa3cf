"""Which of many scores are the lowest, without an object per score."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from prunelab.core.scores import Scores
from prunelab.core.units import Unit

SAMPLE = 100_000  # scores that tell about where a limit lies


def without_lowest(scores: Scores, units: Sequence[Unit], count: int) -> dict[str, Tensor]:
    """The plan without the ``count`` lowest of all the units' elements; ties go by unit name and index.

    A selection, not a sort: time grows with the number of scores, and memory hardly does.
    """
    ranked = sorted(unit.name for unit in units)
    kept = dict(zip(ranked, _kept([scores[name] for name in ranked], count), strict=True))
    return {unit.name: kept[unit.name] for unit in units}


def lowest(scores: Tensor, count: int) -> Tensor:
    """True at the ``count`` lowest scores of every row, of equal ones the first: (rows, n) to the same."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    limit = torch.from_numpy(np.partition(scores.numpy(), count - 1, axis=1)[:, count - 1 : count])
    gone, tied = scores < limit, scores == limit
    missing = count - gone.sum(dim=1, keepdim=True)
    if bool((tied.sum(dim=1, keepdim=True) > missing).any()):
        tied &= tied.cumsum(dim=1) <= missing
    return gone | tied


def at_or_below(scores: Tensor, count: int) -> Tensor:
    """True at the ``count`` lowest scores and at whatever equals the largest of them: (n,) to bool (n,)."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    return scores <= _limit([scores], count)


def _kept(parts: Sequence[Tensor], count: int) -> list[Tensor]:
    """False at the ``count`` lowest of all parts, as if they were one; they are not put together."""
    limit = _limit(parts, count) if count else -np.inf
    missing = count - sum(int((part < limit).sum()) for part in parts)
    masks = []
    for part in parts:
        kept, tied = part >= limit, part == limit
        ties = int(tied.sum())
        if missing and ties:
            kept &= ~(tied if ties <= missing else tied & (tied.cumsum(0) <= missing))
            missing -= min(missing, ties)
        masks.append(kept)
    return masks


def _limit(parts: Sequence[Tensor], count: int) -> float:
    """The score in place ``count`` from below, looked for among those that a sample says it lies between."""
    size = sum(len(part) for part in parts)
    step = -(-size // SAMPLE)
    sample = torch.cat([part[::step] for part in parts]).sort().values
    place, reach = count / size * len(sample), 4 * len(sample) ** 0.5
    low, high = (sample[min(max(int(place + way), 0), len(sample) - 1)] for way in (-reach, reach))
    below = sum(int((part < low).sum()) for part in parts)
    between = torch.cat([part[(part >= low) & (part <= high)] for part in parts])
    if not below < count <= below + len(between):  # an odd sample
        below, between = 0, torch.cat(list(parts))
    return float(np.partition(between.numpy(), count - below - 1)[count - below - 1])
