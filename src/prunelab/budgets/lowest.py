"""Which of many scores are the lowest, without an object per score."""

import torch
from torch import Tensor


def lowest(scores: Tensor, count: int) -> Tensor:
    """True at the ``count`` lowest scores of every row, of equal ones the first: (rows, n) to bool (rows, n).

    A selection, not a sort: time and memory grow with the number of scores alone.
    """
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    limit = scores.kthvalue(count, dim=1, keepdim=True).values
    gone, tied = scores < limit, scores == limit
    missing = count - gone.sum(dim=1, keepdim=True)
    if bool((tied.sum(dim=1, keepdim=True) > missing).any()):
        tied &= tied.cumsum(dim=1) <= missing
    return gone | tied


def at_or_below(scores: Tensor, count: int) -> Tensor:
    """True at the ``count`` lowest scores and at whatever equals the largest of them: (n,) to bool (n,)."""
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    return scores <= scores.kthvalue(count).values


def whole(elements: int, share: float) -> int:
    """``int(elements * share)``, but 0.29 of 100 is 29 although the floats' product is a little less."""
    return int(elements * share + 1e-9)
