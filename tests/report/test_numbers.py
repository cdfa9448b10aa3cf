"""How numbers are written."""

import pytest

from prunelab.core.quantities import Quantity
from prunelab.report.numbers import change, count, decimal, decimals, estimate_texts, share, size

PLAIN, PERCENT, UNIT = Quantity("a"), Quantity("a", percent=True), Quantity("a", unit="dB")


@pytest.mark.parametrize(
    ("kind", "value", "low", "high", "expected"),
    [
        (PLAIN, 51.42, 49.3, 53.5, ("51.4", "[49.3, 53.5]")),
        (PLAIN, 1234.5, 1200.0, 1300.0, ("1,234", "[1,200, 1,300]")),
        (PLAIN, 0.00042, -0.0001, 0.0009, ("0.000420", "[\N{MINUS SIGN}0.000100, 0.000900]")),
        (PERCENT, 0.9875, 0.975, 0.995, ("98.8 %", "[97.5, 99.5]")),
        (UNIT, 24.0, 23.5, 24.5, ("24.0 dB", "[23.5, 24.5]")),
        (UNIT, None, None, None, ("\N{EN DASH}", "")),
        (PLAIN, 1.0, 1.0, 1.0, ("1.00", "")),
        (PLAIN, 0.0, 0.0, 0.0, ("0", "")),
        (PLAIN, 0.5, 0.4, 0.6, ("0.500", "[0.400, 0.600]")),
    ],
)
def test_estimates(
    kind: Quantity, value: float | None, low: float | None, high: float | None, expected: tuple[str, str]
) -> None:
    assert estimate_texts({"value": value, "low": low, "high": high, "n": 1}, kind) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (999, "999"), (589_796, "590 k"), (21_300_000, "21.3 M"), (1.2e9, "1.20 G")],
)
def test_counts(value: int, expected: str) -> None:
    assert count(value) == expected


def test_shares_changes_and_sizes() -> None:
    assert share(0.3012) == "30.1 %"
    assert change(70, 100) == "\N{MINUS SIGN}30.0 %"
    assert change(110, 100) == "+10.0 %"
    assert change(100, 100) == ""
    assert change(5, 0) == ""
    assert size(2_750_000) == "2.75 MB"
    assert size(12) == "12 B"
    assert size(None) == "\N{EN DASH}"


def test_very_small_numbers_get_an_exponent() -> None:
    assert decimal(4.2e-7, decimals(4.2e-7)) == "4.2e\N{MINUS SIGN}07"
