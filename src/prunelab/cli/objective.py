"""The number that a search wants of a job: one of its report's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from prunelab.cli.arguments import nearest
from prunelab.cli.job_record import Value
from prunelab.core.errors import Refusal

REPORT = "report.json"
BEST = ("recovered", "pruned", "dense")  # whose row is meant: the model that the job has come to


def objective(folder: Path, config: DictConfig) -> tuple[dict[str, str], Value]:
    """The addresses of a job's models by state, and what ``objective`` names of its last model's row.

    A list of names gives a list. Of a job that left no report there is nothing. Refuses a name that no row
    knows.
    """
    if not (folder / REPORT).is_file():
        return {}, None
    from prunelab.report import read_report

    rows = {row["state"]: row for row in read_report(folder / REPORT)["rows"]}
    addresses = {state: row["address"] for state, row in rows.items()}
    wanted = OmegaConf.to_container(config)["objective"]  # type: ignore[index,call-overload]
    if wanted is None:
        return addresses, None
    numbers = _numbers(next(rows[state] for state in BEST if state in rows))
    listed = [_number(numbers, name) for name in (wanted if isinstance(wanted, list) else [wanted])]
    return addresses, listed if isinstance(wanted, list) else listed[0]


def _numbers(row: Mapping[str, Any]) -> dict[str, float | None]:
    """What a search may ask for: metrics, counts and sizes of the whole model, latency by batch size."""
    costs = {name: value for name, value in row["cost"].items() if isinstance(value, int)}
    latency = {f"latency_ms.{batch}": times["median"] for batch, times in row["cost"]["latency_ms"].items()}
    return {**{name: found["value"] for name, found in row["metrics"].items()}, **costs, **latency}


def _number(numbers: Mapping[str, float | None], name: str) -> float:
    if name not in numbers:
        raise Refusal(f"unknown objective {name!r}: {nearest(name, sorted(numbers))}")
    value = numbers[name]
    if value is None:
        raise Refusal(f"objective={name} is undefined for this model: its report says why")
    return float(value)
