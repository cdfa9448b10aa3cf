"""Rows that may be held against each other: of one model, measured alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prunelab.report.quoting import printable
from prunelab.report.schema import Row

UNSAID = "not said"


@dataclass(frozen=True)
class Comparable:
    """Rows of one task and model, and of the same data, judge, evaluation and hardware.

    name: what tells the set from the others, empty where it is the only one.
    """

    name: str
    rows: tuple[Row, ...]


def comparable(rows: Sequence[Row]) -> list[Comparable]:
    """The rows in such sets, in their order. Those that do not say how they were measured are one set."""
    sets: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in rows:
        sets.setdefault(tuple(_measured(row).items()), []).append(row)
    differing = _differing([dict(key) for key in sets])
    return [Comparable(_name(dict(key), differing), tuple(own)) for key, own in sets.items()]


def separation(rows: Sequence[Row]) -> str:
    """Why the page has several rankings and fronts, in a sentence; empty where it has one."""
    differing = _differing([_measured(row) for row in rows])
    if not differing:
        return ""
    measured = [name for name in differing if name not in ("task", "model")]
    why = f"were measured with different {_listed(measured)}" if measured else "are of different models"
    return f"Rows of this report {why}: numbers compare within each of the sets below, never across."


def _measured(row: Row) -> dict[str, str]:
    """How a row was measured, by what it depends on."""
    own = {"task": row["task"], "model": row["model"], **row.get("conditions", {})}
    return {name: printable(value) for name, value in sorted(own.items())}


def _differing(measured: Sequence[Mapping[str, str]]) -> list[str]:
    names = dict.fromkeys(name for one in measured for name in one)
    return [name for name in names if len({one.get(name) for one in measured}) > 1]


def _name(measured: Mapping[str, str], differing: Sequence[str]) -> str:
    return " · ".join(f"{name}: {measured.get(name, UNSAID)}" for name in differing)


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
