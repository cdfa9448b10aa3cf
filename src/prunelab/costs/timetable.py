"""How long each module of a model takes within one forward pass."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from statistics import fmean
from time import perf_counter
from typing import Any

import torch
from torch import nn

MILLISECONDS = 1e3


@torch.no_grad()
def timetable(
    module: nn.Module, inputs: Mapping[str, Any], paths: Iterable[str], warmup: int = 10, repeats: int = 50
) -> dict[str, float]:
    """Mean milliseconds spent in each of ``paths`` (and ``""``, the whole) per forward pass.

    Means, because they add up: medians of parts do not make the median of the whole where other jobs
    interrupt now this module and now that. A module's time includes its children's. Modules that never run
    take 0. On a GPU every module is waited for, so the sum is longer than the pass is without a timetable;
    shares are what counts.
    """
    names = sorted({"", *paths})
    rounds = [_one_pass(module, inputs, names) for _ in range(warmup + repeats)][warmup:]
    return {name: fmean(spent[name] for spent in rounds) * MILLISECONDS for name in names}


def _one_pass(module: nn.Module, inputs: Mapping[str, Any], names: list[str]) -> dict[str, float]:
    spent = dict.fromkeys(names, 0.0)
    started: dict[str, float] = {}
    now = _clock(module)

    def start(name: str, *_: Any) -> None:
        started[name] = now()

    def end(name: str, *_: Any) -> None:
        spent[name] += now() - started[name]

    with ExitStack() as stack:
        for name in names:
            place = module.get_submodule(name)
            stack.callback(place.register_forward_pre_hook(partial(start, name)).remove)
            stack.callback(place.register_forward_hook(partial(end, name)).remove)
        module(**inputs)
    return spent


def _clock(module: nn.Module) -> Callable[[], float]:
    """Seconds; on a GPU after all that was started there has ended."""
    device = next(module.parameters()).device
    if device.type != "cuda":
        return perf_counter

    def clock() -> float:
        torch.cuda.synchronize(device)
        return perf_counter()

    return clock
