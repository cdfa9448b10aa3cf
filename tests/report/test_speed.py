"""Faster only where the intervals are apart."""

import pytest

from prunelab.report.speed import NO_SPEED_UP, verdict

DENSE = {"median": 10.0, "p95": 12.0}


@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        ({"median": 5.0, "p95": 6.0}, "2.00x faster"),
        ({"median": 8.0, "p95": 9.9}, "1.25x faster"),
        ({"median": 8.0, "p95": 10.0}, NO_SPEED_UP),
        ({"median": 10.0, "p95": 12.0}, NO_SPEED_UP),
        ({"median": 11.0, "p95": 11.5}, NO_SPEED_UP),
        ({"median": 8.0, "p95": 15.0, "low": 7.9, "high": 8.1}, "1.25x faster"),
        ({"median": 8.0, "p95": 8.1, "low": 7.0, "high": 10.5}, NO_SPEED_UP),
    ],
)
def test_verdict(latency: dict[str, float], expected: str) -> None:
    assert verdict(latency, DENSE) == expected


def test_the_dense_interval_counts_too() -> None:
    assert verdict({"median": 8.0, "p95": 9.0}, {**DENSE, "low": 8.5, "high": 11.0}) == NO_SPEED_UP
