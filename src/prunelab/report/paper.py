"""``summary.md``, ``summary.tex``, ``summary.csv``: the table that a paper would print, and its numbers."""

import csv
import io
import re
from collections.abc import Sequence

from prunelab.report.cliff import cliff_markdown, cliffs
from prunelab.report.comparable import comparable, separation
from prunelab.report.labels import varying
from prunelab.report.quoting import markdown as quoted
from prunelab.report.quoting import printable
from prunelab.report.schema import Row
from prunelab.report.summary import ACHIEVED, ZEROED, Group, markdown, over_seeds, texts
from prunelab.report.titles import metrics_of

# What LaTeX reads as something else, and the signs of our own numbers.
LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "\N{NO-BREAK SPACE}": "~", "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$", "\N{UPWARDS ARROW}": r"$\uparrow$",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
FORMULA = ("=", "+", "-", "@")  # what a spreadsheet would compute


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The content of each file, by its name. Sets of rows that do not compare have a table of their own."""
    sets = [(own.name, over_seeds(own.rows)) for own in comparable(rows)]
    cliff = "".join(cliff_markdown(cliffs(own.rows)) for own in comparable(rows))
    why = f"{quoted(separation(rows))}\n\n" if len(sets) > 1 else ""
    whole = "\n".join((f"{quoted(name)}\n\n" if name else "") + markdown(groups) for name, groups in sets)
    return {
        "summary.md": why + whole + cliff,
        "summary.tex": "\n".join(latex(groups, name) for name, groups in sets),
        "summary.csv": numbers(rows),
    }


def latex(groups: Sequence[Group], name: str = "") -> str:
    """The groups as a tabular of the package booktabs; ``name`` as a comment above it."""
    head, *body = [[_latex(cell) for cell in line] for line in texts(groups, printable)]
    lines = [" & ".join(line) + r" \\" for line in body]
    columns = "l" * (head.index("seeds")) + "r" * (len(head) - head.index("seeds"))
    comment = [f"% {printable(name)}"] if name else []
    return "\n".join(
        [
            *comment,
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _latex(text: str) -> str:
    return re.sub(".", lambda found: LATEX.get(found[0], found[0]), text)


def numbers(rows: Sequence[Row]) -> str:
    """A line per group with plain numbers: shares that went, and of each metric the mean and its interval.

    Intervals run over the seeds' own, as those of the page's answer; what is undefined is empty.
    """
    written = io.StringIO()
    fields = [field for field in varying(rows) if field != "seed"]
    removed = {**ACHIEVED, **ZEROED}
    names = metrics_of(rows)
    told = list(dict.fromkeys(name for row in rows for name in row.get("conditions", {})))
    table = csv.writer(written, lineterminator="\n")
    ends = [end for name in names for end in (name, f"{name}/low", f"{name}/high")]
    table.writerow([*("state", *fields, "seeds", *removed.values()), *map(_plain, ends), *told])
    for own in comparable(rows):
        for group in over_seeds(own.rows):
            shares = [group.achieved(name) for name in removed]
            measured = [number for name in names for number in group.hull(name) or (None, None, None)]
            conditions = [group.rows[0].get("conditions", {}).get(name, "") for name in told]
            words = [group.state, *map(_plain, group.choices(fields))]
            table.writerow([*words, len(group.rows), *shares, *measured, *map(_plain, conditions)])
    return written.getvalue()


def _plain(text: str) -> str:
    """Words that no spreadsheet takes for a formula."""
    words = printable(text)
    return f"'{words}" if words.startswith(FORMULA) else words
