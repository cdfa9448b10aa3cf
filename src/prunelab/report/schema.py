"""The shape of ``report.json``, checked when it is written and when it is read. See docs/report.md."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prunelab.core.errors import Refusal

SCHEMA = 1
STATES = ("dense", "pruned", "recovered", "scratch")
COUNTS = ("parameters", "nonzeros", "macs", "macs_without_attention")
ACHIEVED = ("elements", "parameters", "nonzeros", "macs")

Row = Mapping[str, Any]
Check = Callable[[object], bool]


def check_row(row: Row) -> None:
    """Fail an assertion, naming the field, unless ``row`` has every field of the schema and no other."""
    _fields(row, ROW, CHOSEN, "row")
    _fields(row["sparsity"], SPARSITY, NOMINAL, "row.sparsity")
    for name, estimate in row["metrics"].items():
        _check_estimate(estimate, f"row.metrics.{name}")
    _check_cost(row["cost"], COST, "row.cost", COMPRESSED)
    for name, cost in row["cost"]["components"].items():
        _check_cost(cost, COMPONENT_COST, f"row.cost.components.{name}")


def read_report(path: Path) -> dict[str, Any]:
    """The content of a ``report.json``.

    Raises OSError or json.JSONDecodeError when it is missing or broken, and Refusal when it was written
    by a version of prunelab whose schema this one does not know.
    """
    report = json.loads(path.read_text(encoding="utf-8"))
    version = report.get("schema") if isinstance(report, dict) else None
    if version != SCHEMA:
        raise Refusal(f"{path} has schema {version!r}; this prunelab reads schema {SCHEMA}: write it again")
    return dict(report)


def _check_estimate(estimate: object, where: str) -> None:
    numbers = _fields(estimate, ESTIMATE, OF_DISTANCES, where)
    undefined = {numbers[name] is None for name in ("value", "low", "high")}
    assert len(undefined) == 1, f"{where} is undefined in part"
    if "floor" in numbers:
        _check_estimate(numbers["floor"], f"{where}.floor")


def _check_cost(
    cost: object, fields: Mapping[str, Check], where: str, extra: Mapping[str, Check] | None = None
) -> None:
    optional = {name: check for name, check in COST.items() if name not in fields and name != "components"}
    checked = _fields(cost, fields, {**optional, **(extra or {})}, where)
    for setting, latency in checked.get("latency_ms", {}).items():
        _fields(latency, LATENCY, LATENCY_INTERVAL, f"{where}.latency_ms.{setting}")


def _fields(
    value: object, needed: Mapping[str, Check], optional: Mapping[str, Check], where: str
) -> Mapping[str, Any]:
    """``value`` as the mapping that it has to be."""
    assert isinstance(value, Mapping), f"{where} is not a mapping"
    missing, unknown = needed.keys() - value.keys(), value.keys() - needed.keys() - optional.keys()
    assert not missing, f"{where} lacks {sorted(missing)}"
    assert not unknown, f"{where} has unknown {sorted(map(str, unknown))}"
    for name, check in {**needed, **optional}.items():
        assert name not in value or check(value[name]), f"{where}.{name} cannot be {value[name]!r}"
    return value


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _texts(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(_text, value))


def _mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(_text, value))


def _settings(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values())


def _requested(value: object) -> bool:
    return _number(value) or (isinstance(value, Mapping) and all(map(_number, value.values())))


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


ROW: dict[str, Check] = {
    "state": lambda value: value in STATES,
    "task": _text,
    "model": _text,
    "scorer": _or_null(_text),
    "granularity": lambda value: value is None or _text(value) or _texts(value),
    "budget": _or_null(_text),
    "recovery": _or_null(_text),
    "seed": _count,
    "sparsity": _mapping,
    "metrics": _mapping,
    "cost": _mapping,
    "address": _text,
}
CHOSEN: dict[str, Check] = {"bypass": _or_null(_text), "settings": _or_null(_settings)}
SPARSITY: dict[str, Check] = {
    "requested": _or_null(_requested),
    "of": _or_null(_text),
    **dict.fromkeys(ACHIEVED, _or_null(_number)),
}
NOMINAL: dict[str, Check] = {"nominal": _or_null(_number)}
ESTIMATE: dict[str, Check] = {**dict.fromkeys(("value", "low", "high"), _or_null(_number)), "n": _count}
OF_DISTANCES: dict[str, Check] = {"floor": _mapping, "warning": _text}
COMPONENT_COST: dict[str, Check] = dict.fromkeys(COUNTS, _count)
COST: dict[str, Check] = {
    **COMPONENT_COST,
    "latency_ms": _mapping,
    "peak_memory_bytes": _or_null(_count),
    "disk_bytes": _or_null(_count),
    "components": _mapping,
}
COMPRESSED: dict[str, Check] = {"compressed_bytes": _or_null(_count)}
LATENCY: dict[str, Check] = {"median": _number, "p95": _number}
LATENCY_INTERVAL: dict[str, Check] = {"low": _number, "high": _number}
