"""A sweep over seeds in one table: the mean of each choice, and how far its seeds lie apart."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from prunelab.core.quantities import Quantity
from prunelab.report.floors import floor_of
from prunelab.report.labels import COMPARED, label, varying
from prunelab.report.numbers import estimate_texts, share
from prunelab.report.quoting import markdown as quoted
from prunelab.report.schema import Row
from prunelab.report.tables import Cell, Heading, Line, Measure, Table, measures_of

ACHIEVED = {"parameters": "parameters removed", "macs": "MACs removed"}
ZEROED = {"nonzeros": "non-zeros removed"}  # where single weights went, which takes neither of those
NAMES = {"requested": "asked for"}
Spread = tuple[float, float, float]


@dataclass(frozen=True)
class Group:
    """Rows that differ in nothing but their seed.

    repeat: what to add to the label where rows of one seed differ in what no field of a row says; may be
    empty.
    """

    state: str
    label: str
    rows: tuple[Row, ...]
    repeat: str = ""

    def metric(self, name: str) -> Spread | None:
        """Mean, smallest and largest of a metric over the seeds; None where it is undefined or not there."""
        values = [estimate["value"] for estimate in self._estimates(name)]
        return (fmean(values), min(values), max(values)) if values else None

    def interval(self, name: str) -> Spread | None:
        """The same; of a single row its own interval, of sampling seeds or bootstrap."""
        estimates = self._estimates(name)
        if len(estimates) == 1 and estimates[0]["low"] is not None:
            value, low, high = (estimates[0][side] for side in ("value", "low", "high"))
            return value, low, high
        return self.metric(name)

    def hull(self, name: str) -> Spread | None:
        """The mean over seeds, and the lowest and the highest end of the seeds' own intervals."""
        found = self._estimates(name)
        if not found:
            return None
        ends = [
            end for each in found for end in (each["low"], each["high"], each["value"]) if end is not None
        ]
        return fmean(each["value"] for each in found), min(ends), max(ends)

    def floor(self, name: str) -> Spread | None:
        """Mean, smallest and largest of a distance's floor: of a single one's groups, else of the floors."""
        found = [floor_of(row, name) for row in self.rows]
        known = [floor for floor in found if floor is not None and floor["value"] is not None]
        if all(floor == known[0] for floor in known[1:]):
            return (known[0]["value"], known[0]["low"], known[0]["high"]) if known else None
        values = [floor["value"] for floor in known]
        return fmean(values), min(values), max(values)

    def achieved(self, name: str) -> float | None:
        """The mean share that was removed, of parameters, MACs or non-zeros; None where it is not said."""
        shares = [row["sparsity"][name] for row in self.rows if row["sparsity"][name] is not None]
        return fmean(shares) if shares else None

    def choices(self, fields: Sequence[str]) -> list[str]:
        """What was chosen for each of ``fields``; nothing for the dense model."""
        chosen = ["" if self.state == "dense" else label(self.rows[0], [field]) for field in fields]
        return [f"{chosen[0]} ({self.repeat})", *chosen[1:]] if self.repeat and chosen else chosen

    def _estimates(self, name: str) -> list[dict[str, float]]:
        found = [row["metrics"].get(name, {}) for row in self.rows]
        return [estimate for estimate in found if estimate.get("value") is not None]


def over_seeds(rows: Sequence[Row]) -> list[Group]:
    """Rows grouped by everything but the seed, in their order.

    Two rows of one seed are no repetition over seeds: the second begins a group of its own.
    """
    fields = [field for field in varying(rows) if field != "seed"]
    groups: dict[tuple[str, int], list[Row]] = {}
    seen: dict[tuple[str, int], int] = {}
    for row in rows:
        one = (_key(row), row["seed"])
        seen[one] = seen.get(one, 0) + 1
        groups.setdefault((one[0], seen[one]), []).append(row)
    return [_group(members, fields, number) for (_, number), members in groups.items()]


def _group(members: Sequence[Row], fields: Sequence[str], number: int) -> Group:
    repeat = f"no. {number}" if number > 1 else ""
    words = (label(members[0], fields), repeat)
    return Group(members[0]["state"], " · ".join(filter(None, words)), tuple(members), repeat)


def _key(row: Row) -> str:
    fields = [*(field for field in COMPARED if field != "seed"), "settings"]
    return str([row["state"], *(row["sparsity"].get(field, row.get(field)) for field in fields)])


def markdown(groups: Sequence[Group]) -> str:
    """The groups as a Markdown table: see ``texts``."""
    head, *body = texts(groups, quoted)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *body])


def texts(groups: Sequence[Group], quote: Callable[[str], str]) -> list[list[str]]:
    """The table that a paper would print: a head and a line per group, the fields that differ as columns.

    Means over the seeds, and [smallest, largest] where they differ. quote: what is done to words that come
    from elsewhere.
    """
    rows = [row for group in groups for row in group.rows]
    measures = [replace(one, kind=replace(one.kind, unit=quote(one.kind.unit))) for one in measures_of(rows)]
    single = any(row["sparsity"].get("nominal") is not None for row in rows)
    achieved = {**ACHIEVED, **(ZEROED if single else {})}
    differing = [field for field in varying(rows) if field != "seed"]
    fields = [field for field in differing if field != "of" or "requested" not in differing]
    names = [NAMES.get(field, field) for field in fields]
    titles = [quote(heading.text) for one in measures for heading in one.headings]
    head = ["state", *map(quote, names), "seeds", *achieved.values(), *titles]
    lines = [head]
    for group in groups:
        numbers = [" ".join(filter(None, texts)) for texts in _cells(group, achieved, measures)]
        lines.append([group.state, *map(quote, group.choices(fields)), *numbers])
    return lines


def _cells(group: Group, achieved: Iterable[str], measures: Sequence[Measure]) -> list[tuple[str, str]]:
    """How many seeds, the shares that went, each metric's mean and spread and any floor of it."""
    texts = [(str(len(group.rows)), ""), *((share(group.achieved(name)), "") for name in achieved)]
    for one in measures:
        texts.append(spread_texts(group.metric(one.name), one.kind))
        if one.floors:
            texts.append(spread_texts(group.floor(one.name), one.kind))
    return texts


def spread_texts(values: Spread | None, kind: Quantity) -> tuple[str, str]:
    """A metric's mean with its unit, and [smallest, largest] where these differ."""
    return estimate_texts(dict(zip(("value", "low", "high"), values or 3 * (None,), strict=True)), kind)


def means(rows: Sequence[Row]) -> Table | None:
    """The same for the report's page; None where every group is a single row."""
    groups = over_seeds(rows)
    if all(len(group.rows) == 1 for group in groups):
        return None
    measures = measures_of(rows)
    headings = [Heading("Seeds"), *(Heading(name[0].upper() + name[1:]) for name in ACHIEVED.values())]
    headings += [heading for one in measures for heading in one.headings]
    cells = [tuple(Cell(*texts) for texts in _cells(group, ACHIEVED, measures)) for group in groups]
    lines = [Line(group.state, group.label, own) for group, own in zip(groups, cells, strict=True)]
    note = "Means over the seeds that differ in nothing else; [the smallest, the largest]."
    return Table("Means over seeds", note, tuple(headings), tuple(lines))
