"""Cliffs: the sparsity at which quality breaks, per component, from the rows of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import fmean

from prunelab.core.quantities import Quantity
from prunelab.core.sparsity import Sparsity
from prunelab.report.labels import COMPARED, label, varying
from prunelab.report.numbers import UNDEFINED, share
from prunelab.report.quoting import markdown as quoted
from prunelab.report.schema import Row
from prunelab.report.tables import Cell, Heading, Line, Table, dense_of
from prunelab.report.titles import metrics_of, quantity

FACTOR = 2.0


@dataclass(frozen=True)
class Cliff:
    """Where one component breaks under one choice of scorer, budget and so on.

    at: the smallest requested share from which on quality is broken at every larger one that was measured;
    None where it is not broken at the largest. before: the largest measured share below it, None where
    there is none. measured: share -> each metric's mean over seeds. kinds: what these metrics are.
    """

    component: str
    state: str
    label: str
    at: float | None
    before: float | None
    measured: Mapping[float, Mapping[str, float]]
    kinds: Mapping[str, Quantity]


def cliffs(rows: Sequence[Row]) -> list[Cliff]:
    """The cliff of every component that was pruned alone at two shares or more.

    Broken: one of the metrics that say so of themselves is more than ``FACTOR`` times the dense model's
    where lower is better, less than the dense model's divided by it where higher is. There are several, as
    one alone misses breaks that another sees.
    """
    kinds = {name: kind for name in metrics_of(rows) if (kind := quantity(rows, name)).breaks}
    fields = [field for field in varying(rows) if field not in ("requested", "of", "seed")]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        component = _alone(row)
        if component:
            groups.setdefault((component, row["state"], *_choice(row)), []).append(row)
    found = [
        _cliff(component, members, dense_of(members[0], rows), fields, kinds)
        for (component, *_), members in groups.items()
    ]
    return [cliff for cliff in found if cliff is not None]


def _alone(row: Row) -> str | None:
    """The one component that the row was asked to prune; None where it is not one or not said."""
    asked = Sparsity(row["sparsity"]["requested"] or 0.0)
    pruned = [component for component, share in asked.shares.items() if share]
    return pruned[0] if asked.named and len(pruned) == 1 and row["state"] != "dense" else None


def _choice(row: Row) -> tuple[str, ...]:
    fields = (field for field in COMPARED if field not in ("requested", "seed"))
    chosen = tuple(str(row["sparsity"].get(field, row.get(field))) for field in fields)
    return (*chosen, str(row.get("settings")))


def _values(rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, float]:
    """The means over the rows of the metrics that all of them have."""
    values = {name: [row["metrics"].get(name, {}).get("value") for row in rows] for name in metrics}
    return {name: fmean(known) for name, known in values.items() if None not in known}


def _cliff(
    component: str,
    rows: Sequence[Row],
    base: Row | None,
    fields: Sequence[str],
    kinds: Mapping[str, Quantity],
) -> Cliff | None:
    dense = _values([base], list(kinds)) if base else {}
    groups: dict[float, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["sparsity"]["requested"][component], []).append(row)
    if not dense or len(groups) < 2:
        return None
    measured = {level: _values(groups[level], list(dense)) for level in sorted(groups)}
    known = {name: kinds[name] for name in dense}
    broken = takewhile(lambda level: _broken(measured[level], dense, known), reversed(measured))
    at = min(broken, default=None)
    below = [level for level in measured if at is None or level < at]
    before = below[-1] if below else None
    return Cliff(component, rows[0]["state"], label(rows[0], fields), at, before, measured, known)


def _broken(values: Mapping[str, float], dense: Mapping[str, float], kinds: Mapping[str, Quantity]) -> bool:
    """Whether any of the metrics says so."""
    return any(
        value < dense[name] / FACTOR if kinds[name].better == "higher" else value > dense[name] * FACTOR
        for name, value in values.items()
    )


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
    edges = {"higher": "less than half", "lower": "more than twice", "": "more than twice"}
    kinds = {name: kind for cliff in found for name, kind in cliff.kinds.items()}
    signs = " or ".join(f"{kind.title} is {edges[kind.better]}" for kind in kinds.values())
    note = (
        "A component pruned alone breaks at the smallest share from which on, at every larger one measured, "
        f"{signs} of the dense model's."
    )
    return Table("Breaking point per component", note, headings, tuple(lines))


def cliff_markdown(found: Sequence[Cliff]) -> str:
    """The same as a Markdown table with its note; empty where nothing was found."""
    if not found:
        return ""
    table = cliff_table(found)
    head = ["state", "choice", *(quoted(heading.text) for heading in table.headings)]
    body = [[line.state, quoted(line.label), *(cell.text for cell in line.cells)] for line in table.lines]
    lines = "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *body])
    return f"\n{lines}\n{table.note}\n"
