"""How many elements of a unit go at a given share.

Elements of some units come in runs (norm groups, heads) that must keep equally many, so a number is always
one per run; every such run keeps at least one element.
"""

import math
from typing import Literal

from prunelab.core.sparsity import whole
from prunelab.core.units import Unit

Rounding = Literal["none", "published", "multiple"]


def count(unit: Unit, share: float, rounding: str = "none", multiple: int = 8) -> int:
    """How many elements of ``unit`` go, the same number from each of its runs.

    none: ``int(n * share)``. published: ``n - int(n * (1 - share))``, as Diff-Pruning's numbers were made
    with torch-pruning up to 1.4.0. Both are divided by the runs and rounded down. multiple: what stays is
    the multiple of ``multiple`` (and of the runs) nearest to ``n * (1 - share)``, the larger of two, and
    at least one of them; a unit without so many elements stays whole.
    """
    runs = max(unit.runs, 1)
    match rounding:
        case "published":
            gone = (unit.elements - int(unit.elements * (1 - share))) // runs
        case "multiple":
            gone = (unit.elements - _nearest(unit.elements, share, math.lcm(multiple, runs))) // runs
        case _:
            gone = whole(unit.elements, share) // runs
    return runs * min(gone, unit.elements // runs - 1) if unit.runs else gone


def _nearest(elements: int, share: float, step: int) -> int:
    """The multiple of ``step`` nearest to what should stay, from ``step`` up to all elements."""
    steps = max(1, math.floor(elements * (1 - share) / step + 0.5 + 1e-9))
    return elements if share == 0 else min(steps * step, elements)
