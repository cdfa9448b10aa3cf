"""Pieces of the page: the macros of ``pieces.html.jinja`` as functions of what they show."""

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

PIECES = "pieces.html.jinja"


@cache
def environment() -> Environment:
    """Templates of the report, everything that is put into them escaped."""
    made = Environment(
        loader=PackageLoader("prunelab.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["slug"] = slug
    return made


def piece(name: str, **values: Any) -> Markup:
    """The HTML of the macro ``name``."""
    macro = getattr(environment().get_template(PIECES).module, name)
    return Markup(macro(**values))  # noqa: S704 the template escapes


def own(html: str) -> Markup:
    """HTML of our own making, such as a drawing: matplotlib has escaped the words in it."""
    return Markup(html)  # noqa: S704


def slug(text: str) -> str:
    """A text as an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
