"""Whether a pruned model is faster, said only where the measurement shows it."""

from collections.abc import Mapping
from typing import Any

from prunelab.report.schema import Row

NO_SPEED_UP = "no speed-up"


def verdict(latency: Mapping[str, float], dense: Mapping[str, float]) -> str:
    """``1.31x faster``, or ``no speed-up`` unless the whole interval lies below the dense model's."""
    _, high = interval(latency)
    low, _ = interval(dense)
    return f"{dense['median'] / latency['median']:.2f}x faster" if high < low else NO_SPEED_UP


def latency_of_dense(row: Row, dense: Row) -> Mapping[str, Any]:
    """The latencies that a row's are held against: measured in turns with them, where it says so."""
    found: Mapping[str, Any] = row["cost"].get("dense_latency_ms") or dense["cost"]["latency_ms"]
    return found


def interval(latency: Mapping[str, float]) -> tuple[float, float]:
    """The interval of a latency's median, in ms: measured, else from the median to the 95th percentile."""
    return latency.get("low", latency["median"]), latency.get("high", latency["p95"])
