"""Whether a pruned model is faster, said only where the measurement shows it."""

from collections.abc import Mapping

NO_SPEED_UP = "no speed-up"


def verdict(latency: Mapping[str, float], dense: Mapping[str, float]) -> str:
    """``1.31x faster``, or ``no speed-up`` unless the whole interval lies below the dense model's."""
    _, high = interval(latency)
    low, _ = interval(dense)
    return f"{dense['median'] / latency['median']:.2f}x faster" if high < low else NO_SPEED_UP


def interval(latency: Mapping[str, float]) -> tuple[float, float]:
    """The interval of a latency's median, in ms: measured, else from the median to the 95th percentile."""
    return latency.get("low", latency["median"]), latency.get("high", latency["p95"])
