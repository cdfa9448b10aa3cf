"""The order of the calls and the reduction; no test here depends on how long anything takes."""

from collections.abc import Callable

import pytest

from prunelab.core.errors import Refusal
from prunelab.costs import latency as module
from prunelab.costs.latency import latency, summarise


class Clock:
    """Stands in for the wall clock; calls move it on by their own duration."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.seconds

    def call(self, name: str, *durations_ms: float) -> Callable[[], None]:
        """A call that takes ``durations_ms`` in turn."""
        remaining = iter(durations_ms)

        def run() -> None:
            self.calls.append(name)
            self.seconds += next(remaining) / 1000

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter", clock)
    return clock


def test_calls_are_interleaved_and_the_order_rotates(clock: Clock) -> None:
    calls = {name: clock.call(name, *[1.0] * 4) for name in "ABC"}
    latency(calls, "cpu", warmup=1, repeats=3)
    assert "".join(clock.calls) == "ABC" + "BCA" + "CAB" + "ABC"


def test_warmup_is_not_measured_and_times_stay_with_their_names(clock: Clock) -> None:
    slow_start = clock.call("dense", 9000, 9000, 4, 6, 5)
    measured = latency({"dense": slow_start, "pruned": clock.call("pruned", *[2] * 5)}, "cpu", 2, 3)
    assert measured["dense"].median_ms == pytest.approx(5)
    assert measured["dense"].p95_ms == pytest.approx(5.9)
    assert measured["pruned"].median_ms == pytest.approx(2)
    assert list(measured) == ["dense", "pruned"]


def test_summarise() -> None:
    assert summarise([7.0]).median_ms == summarise([7.0]).p95_ms == 7
    reduced = summarise([float(i) for i in range(101)][::-1])
    assert (reduced.median_ms, reduced.p95_ms) == (50, 95)
    assert summarise([1, 1, 1, 100]).median_ms == 1


def test_other_devices_are_refused() -> None:
    with pytest.raises(Refusal, match="use a cpu or cuda device"):
        latency({"a": lambda: None}, "meta")
