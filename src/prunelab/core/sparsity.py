"""Sparsity: how much is to go."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Self

from prunelab.core.errors import Refusal


@dataclass(frozen=True)
class Sparsity:
    """One share of everything that is pruned, or a share for each name: of a component or a granularity.

    asked: a share in [0, 1) or shares by name, as configurations and reports say it; a name that is left out
        keeps all.
    of: of what it is a share (elements, parameters, macs, latency); empty where that is not said.
    """

    asked: float | Mapping[str, float]
    of: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        for name, share in self.shares.items():
            if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share < 1:
                whose = f" of {name}" if name else ""
                raise Refusal(f"sparsity={share!r}{whose} is not a share in [0, 1): 0.3 removes 30 %")

    @property
    def named(self) -> bool:
        """Whether there is a share for each name."""
        return isinstance(self.asked, Mapping)

    @property
    def shares(self) -> Mapping[str, float]:
        """The shares by name; one for all has the empty name."""
        return self.asked if isinstance(self.asked, Mapping) else {"": self.asked}

    def share(self, name: str) -> float:
        """The share of ``name``."""
        return float(self.shares.get(name if self.named else "", 0.0))

    def of_each(self, names: Collection[str], what: str) -> dict[str, float]:
        """Name -> share; refuses a share of another name. ``what`` the names are is said then."""
        unknown = [name for name in self.shares if self.named and name not in names]
        if unknown:
            raise Refusal(f"sparsity names {unknown[0]!r}: {what} are {', '.join(names)}")
        return {name: self.share(name) for name in names}

    def of_all(self, setting: str, instead: str) -> float:
        """The one share of everything; refuses shares by name, which ``setting`` does not take."""
        if self.named:
            raise Refusal(f"{setting} takes one sparsity for all; for one each use {instead}")
        return self.share("")

    def part(self, part: float) -> Self:
        """``part`` of it, in (0, 1]: of every share the same."""
        shares = {name: share * part for name, share in self.shares.items()}
        return self if part == 1 else replace(self, asked=shares if self.named else shares[""])

    def without(self, names: Collection[str]) -> Self:
        """The same of the names that are left."""
        left = {name: share for name, share in self.shares.items() if name not in names}
        return replace(self, asked=left) if self.named else self


def whole(elements: float, share: float) -> int:
    """``int(elements * share)``, but 0.29 of 100 is 29 although the floats' product is a little less."""
    return int(elements * share + 1e-9)
