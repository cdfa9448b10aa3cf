"""Cliffs: the sparsity at which quality breaks, per component, from the rows of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from prunelab.report.labels import COMPARED, label, varying
from prunelab.report.quantities import UNDEFINED, quantity, share
from prunelab.report.schema import Row
from prunelab.report.table import Cell, Heading, Line, Table

METRIC = "frechet_distance"
FACTOR = 2.0


@dataclass(frozen=True)
class Cliff:
    """Where one component breaks under one choice of scorer, budget and so on.

    at: the smallest requested share from which on quality is broken at every larger one that was measured;
    None where it is not broken at the largest. before: the largest measured share below it, None where
    there is none. measured: share -> the metric's mean over seeds.
    """

    component: str
    state: str
    label: str
    at: float | None
    before: float | None
    measured: Mapping[float, float]


def cliffs(rows: Sequence[Row], metric: str = METRIC, factor: float = FACTOR) -> list[Cliff]:
    """The cliff of every component that was pruned alone at two shares or more.

    Broken: a metric to be lowered is at more than ``factor`` times the dense model's, one to be raised at
    less than the dense model's divided by it.
    """
    fields = [field for field in varying(rows) if field not in ("requested", "of", "seed")]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        component = _alone(row)
        if component and row["metrics"].get(metric, {}).get("value") is not None:
            groups.setdefault((component, row["state"], *_choice(row)), []).append(row)
    found = [
        _cliff(component, members, _dense(members[0], rows, metric), fields, metric, factor)
        for (component, *_), members in groups.items()
    ]
    return [cliff for cliff in found if cliff is not None]


def _alone(row: Row) -> str | None:
    """The one component that the row was asked to prune; None where it is not one or not said."""
    asked = row["sparsity"]["requested"]
    shares = asked.items() if isinstance(asked, Mapping) else ()
    named = [component for component, share in shares if share]
    return named[0] if len(named) == 1 and row["state"] != "dense" else None


def _choice(row: Row) -> tuple[str, ...]:
    fields = (field for field in COMPARED if field not in ("requested", "seed"))
    return tuple(str(row["sparsity"].get(field, row.get(field))) for field in fields)


def _dense(row: Row, rows: Sequence[Row], metric: str) -> float | None:
    own = (row["task"], row["model"])
    values = [
        other["metrics"].get(metric, {}).get("value")
        for other in rows
        if other["state"] == "dense" and (other["task"], other["model"]) == own
    ]
    return values[0] if values else None


def _cliff(
    component: str,
    rows: Sequence[Row],
    dense: float | None,
    fields: Sequence[str],
    metric: str,
    factor: float,
) -> Cliff | None:
    shares = sorted({row["sparsity"]["requested"][component] for row in rows})
    if dense is None or len(shares) < 2:
        return None
    measured = {
        share: fmean(
            row["metrics"][metric]["value"]
            for row in rows
            if row["sparsity"]["requested"][component] == share
        )
        for share in shares
    }
    at = _edge(measured, dense, factor, quantity(metric).better)
    below = [share for share in shares if at is None or share < at]
    return Cliff(
        component, rows[0]["state"], label(rows[0], fields), at, below[-1] if below else None, measured
    )


def _edge(measured: Mapping[float, float], dense: float, factor: float, better: str) -> float | None:
    """The smallest share with nothing but broken ones from it on."""
    edge = None
    for level in sorted(measured, reverse=True):
        value = measured[level]
        if not (value < dense / factor if better == "higher" else value > dense * factor):
            break
        edge = level
    return edge


def cliff_table(found: Sequence[Cliff]) -> Table:
    """The cliffs for the report's page."""
    headings = (Heading("Component"), Heading("Breaks at"), Heading("Holds at"), Heading("Measured"))
    lines = [
        Line(
            cliff.state,
            cliff.label,
            (
                Cell(cliff.component),
                Cell("not reached" if cliff.at is None else share(cliff.at)),
                Cell(UNDEFINED if cliff.before is None else share(cliff.before)),
                Cell(", ".join(share(level) for level in cliff.measured)),
            ),
        )
        for cliff in found
    ]
    note = (
        f"A component pruned alone breaks at the smallest share from which on, at every larger one "
        f"measured, the {quantity(METRIC).title} is more than {FACTOR:g} times the dense model's."
    )
    return Table("Cliff per component", note, headings, tuple(lines))


def cliff_markdown(found: Sequence[Cliff]) -> str:
    """The same as a Markdown table with its note; empty where nothing was found."""
    if not found:
        return ""
    table = cliff_table(found)
    head = ["state", "choice", *(heading.text for heading in table.headings)]
    body = [[line.state, line.label, *(cell.text for cell in line.cells)] for line in table.lines]
    lines = "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *body])
    return f"\n{lines}\n{table.note}\n"
