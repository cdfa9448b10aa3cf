"""The page's sections, a file each: its ``TITLE``, its ``PLACE`` among the others, and ``html(given)``.

``html`` makes the section's HTML, empty where there is nothing to show. What lies in this folder is found by
itself: a new section is a new file.
"""

import functools
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

from markupsafe import Markup

from prunelab.report.given import Given


class Section(Protocol):
    """What a file of this folder holds."""

    TITLE: str
    PLACE: int

    def html(self, given: Given) -> Markup:
        """The section's HTML below its title; empty where the rows have nothing for it."""
        ...


@functools.cache
def sections() -> tuple[Section, ...]:
    """All sections, in the order of the page."""
    found = [cast(Section, import_module(f"{__name__}.{module.name}")) for module in iter_modules(__path__)]
    return tuple(sorted(found, key=lambda section: section.PLACE))
