"""Words from elsewhere (names, settings, captions) where they could be read as something else."""

import re
from unicodedata import category

# A line, a cell, a link, code, HTML, emphasis: what Markdown makes of these is not what was said.
MARKS = re.compile(r"[\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def printable(text: str) -> str:
    """On one line, without the codes that a terminal would act on."""
    return "".join(each if each.isprintable() or category(each) == "Zs" else " " for each in text)


def markdown(text: str) -> str:
    """The same as plain words in a cell of a Markdown table."""
    return MARKS.sub(lambda found: ENTITIES.get(found[0], f"\\{found[0]}"), printable(text))
