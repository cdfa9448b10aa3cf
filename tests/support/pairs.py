"""Which scorer scores which granularity, as docs/pairs.md has it: a test holds that page against the code."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "pairs.md"


def pairs() -> dict[str, list[str]]:
    """The granularities of each scorer, in the table's order."""
    table = re.search(r"<!-- generated: pairs -->\n(.*?)<!-- end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert table is not None
    head, _, *rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table[1].splitlines()]
    return {
        name: [row[0] for row in rows if row[column] == "yes"] for column, name in enumerate(head) if name
    }
