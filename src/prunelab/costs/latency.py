"""How long calls take, side by side in one run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from prunelab.core.errors import Refusal

MILLISECONDS = 1000.0

Call = Callable[[], object]


@dataclass(frozen=True)
class Latency:
    """Median and 95th percentile of the duration of one call, in milliseconds."""

    median_ms: float
    p95_ms: float


def latency(
    models: Mapping[str, Call], device: torch.device | str, warmup: int = 10, repeats: int = 50
) -> dict[str, Latency]:
    """Time every call ``repeats`` times after ``warmup`` untimed rounds, and reduce per name.

    The calls take turns (A B C, B C A, ...), so drift of the clock rate, the temperature or other
    work on the machine falls on all of them alike. CUDA devices are timed by their own events, with
    an empty queue before each call; the CPU by the wall clock. Other devices are refused.
    """
    time = _timer(torch.device(device))
    times: dict[str, list[float]] = {name: [] for name in models}
    for round_, name in _turns(list(models), warmup + repeats):
        milliseconds = time(models[name])
        if round_ >= warmup:
            times[name].append(milliseconds)
    return {name: summarise(measured) for name, measured in times.items()}


def summarise(times_ms: Sequence[float]) -> Latency:
    """Median and 95th percentile (linear between neighbours) of at least one duration."""
    median, p95 = np.percentile(times_ms, [50, 95])
    return Latency(median_ms=float(median), p95_ms=float(p95))


def _turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """(round, name): every name once per round, and another name first in each round."""
    for round_ in range(rounds):
        for place in range(len(names)):
            yield round_, names[(round_ + place) % len(names)]


def _timer(device: torch.device) -> Callable[[Call], float]:
    """How one call is timed on ``device``, in milliseconds."""
    if device.type == "cuda":
        return lambda call: _cuda_ms(call, device)
    if device.type == "cpu":
        return _cpu_ms
    raise Refusal(f"latency cannot be measured on '{device}': use a cpu or cuda device")


def _cpu_ms(call: Call) -> float:
    start = perf_counter()
    call()
    return (perf_counter() - start) * MILLISECONDS


def _cuda_ms(call: Call, device: torch.device) -> float:
    with torch.cuda.device(device):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
    return float(start.elapsed_time(end))
