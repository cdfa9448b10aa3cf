"""Whether fewer samples would have done for the scores: how far the ranks by two halves of them agree."""

from collections.abc import Sequence

from markupsafe import Markup

from prunelab.report.folding import folded
from prunelab.report.given import Given
from prunelab.report.labels import text, varying
from prunelab.report.numbers import UNDEFINED, decimal
from prunelab.report.quoting import printable
from prunelab.report.schema import Row
from prunelab.report.tables import Cell, Heading, Line, Table

TITLE, PLACE = "How stable the scores are", 75
CHOSEN = (
    "task",
    "model",
    "granularity",
    "seed",
)  # what scores depend on beside the scorer
NOTE = (
    "Spearman's correlation of the scores by either half of the samples. Near 1, half of the samples would "
    "have ranked as all of them do, and scorer.stable stops there; far below it, scorer.samples are too few."
)


def html(given: Given) -> Markup:
    """A line per scoring, and in a note the scorers of which nothing is known."""
    pruned = [row for row in given.rows if row["state"] == "pruned"]
    known = [row for row in pruned if row.get("stability")]
    if not known:
        return Markup()
    kinds = list(dict.fromkeys(kind for row in known for kind in row["stability"]["spearman"]))
    fields = [
        field for field in varying(given.rows) if field in CHOSEN or field.startswith("settings.scorer.")
    ]
    lines = dict.fromkeys(_line(row, fields, kinds) for row in known)
    headings = (Heading("Samples"), Heading("Halves"), *(Heading(printable(kind)) for kind in kinds))
    return folded([Table("Agreement of halves", _note(pruned), headings, tuple(lines))])


def _line(row: Row, fields: Sequence[str], kinds: Sequence[str]) -> Line:
    found = row["stability"]
    used, most = found["samples"], found["of"]
    agreed = [found["spearman"].get(kind) for kind in kinds]
    named = [text(row, field) for field in ("scorer", *fields)]
    return Line(
        row["state"],
        " · ".join(each for each in named if each),
        (
            Cell(str(used), f"of at most {most}" if used < most else ""),
            Cell(" + ".join(map(str, found["halves"]))),
            *(Cell(UNDEFINED if value is None else decimal(value, 2)) for value in agreed),
        ),
    )


def _note(pruned: Sequence[Row]) -> str:
    silent = sorted({text(row, "scorer") for row in pruned if not row.get("stability")})
    if not silent:
        return NOTE
    why = "draws no samples, saw them all in one batch, or scored before this was kept"
    return f"{NOTE} Not of {', '.join(silent)}: such a scorer {why}."
