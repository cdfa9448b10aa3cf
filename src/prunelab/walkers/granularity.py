"""A granularity: one way to cut a component into units."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from prunelab.core.units import Unit
from prunelab.walkers.calls import Calls

Walk = Callable[[str, nn.Module, Calls], Iterator[Unit]]
Check = Callable[[Sequence[Unit], Calls], list[Unit]]


@dataclass(frozen=True)
class Granularity:
    """What ``granularity=name`` stands for.

    name: its units' ``granularity``. walk: gives the units of a component, by its name, its module and the
        calls of its modules. check: keeps those that were tried and held. things: what modules that should
        give such units are called in the plural. alike: their paths in a component, whether they give any.
        whole: whether a unit is a whole module, which may hold or stand beside what is alike.
    """

    name: str
    walk: Walk
    check: Check | None = None
    things: str = ""
    alike: Callable[[nn.Module], list[str]] | None = None
    whole: bool = False

    def units(self, component: str, root: nn.Module, calls: Calls) -> list[Unit]:
        """The units of one component; a layer that lost all it had gives none."""
        found = [unit for unit in self.walk(component, root, calls) if unit.elements]
        return self.check(found, calls) if self.check else found
