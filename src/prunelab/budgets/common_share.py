"""The common share of elements at which a cost is met."""

from bisect import bisect_left
from collections.abc import Callable, Iterable

import torch

from prunelab.budgets.ranking import ROUND_OFF


def common_share(sizes: Iterable[int], target: float, gone: Callable[[float], float]) -> float | None:
    """The smallest share of each of ``sizes`` at which ``gone``, the removed cost, reaches ``target``.

    None where all of them do not. The cost grows with the share: halving finds the step, and ``gone`` is
    asked few times.
    """
    steps = torch.cat([torch.arange(n + 1, dtype=torch.float64) / n for n in {*sizes}]).unique()
    place = bisect_left(range(len(steps)), target - ROUND_OFF, key=lambda i: gone(float(steps[i])))
    return float(steps[place]) if place < len(steps) else None
