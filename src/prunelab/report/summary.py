"""A sweep over seeds in one table: the mean of each choice, and how far its seeds lie apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from prunelab.report.labels import COMPARED, label, varying
from prunelab.report.quantities import UNDEFINED, decimal, decimals, quantity, share, titled
from prunelab.report.schema import Row

ACHIEVED = {"parameters": "parameters removed", "macs": "MACs removed"}
ZEROED = {"nonzeros": "non-zeros removed"}  # where single weights went, which takes neither of those


@dataclass(frozen=True)
class Group:
    """Rows that differ in nothing but their seed."""

    state: str
    label: str
    rows: tuple[Row, ...]

    def metric(self, name: str) -> tuple[float, float, float] | None:
        """Mean, smallest and largest of a metric over the seeds; None where it is undefined."""
        values = [row["metrics"][name]["value"] for row in self.rows]
        known = [value for value in values if value is not None]
        return (fmean(known), min(known), max(known)) if known else None

    def achieved(self, name: str) -> float:
        """The mean share that was removed, of parameters, MACs or non-zeros."""
        return fmean(row["sparsity"][name] for row in self.rows)


def over_seeds(rows: Sequence[Row]) -> list[Group]:
    """Rows grouped by everything but the seed, in their order."""
    fields = [field for field in varying(rows) if field != "seed"]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    return [
        Group(members[0]["state"], label(members[0], fields), tuple(members)) for members in groups.values()
    ]


def _key(row: Row) -> str:
    fields = [field for field in COMPARED if field != "seed"]
    return str([row["state"], *(row["sparsity"].get(field, row.get(field)) for field in fields)])


def markdown(groups: Sequence[Group]) -> str:
    """The groups as a Markdown table: mean [smallest, largest] over the seeds."""
    metrics = list(groups[0].rows[0]["metrics"])
    rows = [row for group in groups for row in group.rows]
    single = any(row["sparsity"].get("nominal") is not None for row in rows)
    achieved = {**ACHIEVED, **(ZEROED if single else {})}
    head = ["state", "choice", "seeds", *achieved.values(), *(titled(name) for name in metrics)]
    lines = [head, ["---"] * len(head), *(_cells(group, list(achieved), metrics) for group in groups)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cells(group: Group, achieved: Sequence[str], metrics: Sequence[str]) -> list[str]:
    removed = [share(group.achieved(name)) for name in achieved]
    measured = [_spread(group.metric(name), name) for name in metrics]
    return [group.state, group.label, str(len(group.rows)), *removed, *measured]


def _spread(values: tuple[float, float, float] | None, name: str) -> str:
    if values is None:
        return UNDEFINED
    scale = 100 if quantity(name).percent else 1
    mean, low, high = (value * scale for value in values)
    places = 1 if scale == 100 else decimals(max(abs(mean), abs(low), abs(high)))
    spread = f" [{decimal(low, places)}, {decimal(high, places)}]" if low != high else ""
    return f"{decimal(mean, places)}{spread}"
