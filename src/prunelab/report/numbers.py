"""How the report writes numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from prunelab.core.quantities import Quantity

UNDEFINED = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def estimate_texts(estimate: Mapping[str, Any], kind: Quantity) -> tuple[str, str]:
    """A value and its interval ``[low, high]``, both with the same decimals; the latter may be empty."""
    numbers = [estimate[field] for field in ("value", "low", "high")]
    return scaled_texts([None if number is None else number * kind.scale for number in numbers], kind)


def scaled_texts(numbers: Sequence[float | None], kind: Quantity) -> tuple[str, str]:
    """The same of ``value, low, high`` that are scaled already."""
    if numbers[0] is None:
        return UNDEFINED, ""
    places = 1 if kind.percent else decimals(max(abs(number) for number in numbers if number is not None))
    value, low, high = (None if number is None else decimal(number, places) for number in numbers)
    unit = f" {kind.shown_unit}" if kind.shown_unit else ""
    interval = "" if low is None or numbers[1] == numbers[2] else f"[{low}, {high}]"
    return f"{value}{unit}", interval


def decimals(size: float, digits: int = 3) -> int:
    """How many decimals show ``digits`` significant digits of a number this large; -1: use an exponent."""
    if size == 0:
        return 0
    magnitude = math.floor(math.log10(abs(size)))
    return -1 if magnitude < -5 else max(0, digits - 1 - magnitude)


def decimal(value: float, places: int) -> str:
    """``value`` with so many decimals and a true minus sign."""
    text = f"{value:,.{places}f}" if places >= 0 else f"{value:.1e}"
    return text.replace("-", MINUS)


def count(value: float) -> str:
    """A large number in thousands, millions or billions, to three digits: ``590 k``, ``21.3 M``."""
    for size, suffix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return decimal(value / size, decimals(value / size)) + suffix
    return decimal(value, 0)


def size(value: int | None) -> str:
    """Bytes in decimal units: ``1.23 MB``."""
    return UNDEFINED if value is None else f"{count(value)}B" if value >= 1e3 else f"{value} B"


def share(value: float | None) -> str:
    """A fraction in per cent, ``30.1 %``."""
    return UNDEFINED if value is None else f"{decimal(100 * value, 1)} %"


def change(value: float, dense: float) -> str:
    """How much ``value`` differs from the dense model's, ``-30.1 %``; empty where it does not."""
    if not dense or value == dense:
        return ""
    ratio = value / dense - 1
    return f"{'+' if ratio > 0 else ''}{decimal(100 * ratio, 1)} %"


def milliseconds(value: float) -> str:
    """``12.3 ms``."""
    return f"{decimal(value, decimals(value))} ms"
