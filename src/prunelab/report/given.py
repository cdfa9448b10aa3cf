"""What a page is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from prunelab.core.previews import Preview
from prunelab.report.comparable import Comparable, comparable
from prunelab.report.curves import Curve
from prunelab.report.schema import Row


@dataclass(frozen=True)
class Given:
    """The rows of a report, its previews and training curves."""

    rows: Sequence[Row]
    previews: Sequence[Preview] = ()
    curves: Sequence[Curve] = ()

    @cached_property
    def sets(self) -> list[Comparable]:
        """The rows in sets within which they may be held against each other."""
        return comparable(self.rows)
