"""What to call a row: what tells it from its neighbours."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prunelab.core.sparsity import Sparsity
from prunelab.report.numbers import share
from prunelab.report.quoting import printable
from prunelab.report.schema import Row

COMPARED = (
    *("task", "model", "scorer", "granularity", "budget", "requested", "of"),
    *("bypass", "recovery", "seed"),
)
SETTING = "settings."  # before the key of a setting that is a field like the others
DESCRIBED = ("scorer", "granularity", "budget", "requested", "recovery")


def varying(rows: Sequence[Row]) -> tuple[str, ...]:
    """The fields in which rows of one state differ: those that a label needs."""
    states = {row["state"] for row in rows if row["state"] != "dense"}
    groups = [[row for row in rows if row["state"] == state] for state in states]
    keys = sorted({f"{SETTING}{key}" for row in rows for key in row.get("settings") or {}})
    fields = [*COMPARED[:-2], *keys, *COMPARED[-2:]]
    return tuple(
        field for field in fields if any(len({text(row, field) for row in group}) > 1 for group in groups)
    )


def label(row: Row, fields: Sequence[str]) -> str:
    """The row's values of ``fields``, those it has, joined by dots; nothing for the dense model."""
    if row["state"] == "dense":
        return ""
    skipped = {"recovery"} if row["state"] == "pruned" else set()
    skipped |= {"of"} if "requested" in fields else set()  # it is said there
    values = (_spoken(row, field) for field in fields if field not in skipped)
    return " · ".join(value for value in values if value)


def labels(rows: Sequence[Row], fallback: Sequence[str] = ()) -> list[str]:
    """A label per row: the fields that vary, or those of ``fallback`` where none does."""
    fields = varying(rows) or fallback
    return [label(row, fields) for row in rows]


def text(row: Row, field: str) -> str:
    """A field's value in plain words; empty where it has none."""
    if field.startswith(SETTING):
        key = field.removeprefix(SETTING)
        return printable(f"{key}={row['settings'][key]}") if key in (row.get("settings") or {}) else ""
    value = row["sparsity"][field] if field in ("requested", "of") else row.get(field)
    return "" if value is None else printable(WORDING.get(field, str)(value))


def _spoken(row: Row, field: str) -> str:
    """``text`` with a word before it where the bare value would say too little."""
    value = text(row, field)
    if (field, value) == ("bypass", "none"):
        return ""
    if field in ("seed", "of", "bypass") and value:
        return f"{field} {value}"
    of = row["sparsity"]["of"]
    return f"{value} of {of}" if field == "requested" and value and of else value


def shares(requested: float | Mapping[str, float]) -> str:
    """A sparsity that was asked for in plain words: a share, or each name with its own."""
    asked = Sparsity(requested).shares.items()
    return ", ".join(f"{name} {share(each)}".strip() for name, each in asked)


WORDING: dict[str, Callable[[Any], str]] = {
    "granularity": lambda value: value if isinstance(value, str) else "+".join(value),
    "requested": lambda value: shares(value).replace(".0 %", " %"),
}
