"""What a metric says of itself to whoever shows its numbers."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal, Self

from annotated_types import Len

from prunelab.core.settings import settings


@settings
class Quantity:
    """A metric for readers.

    title: what it is called. better: which way; empty where neither is. hint: what it is, in half a sentence.
    percent: a share, shown in per cent. unit: behind a shown value. aside: it says nearly what another metric
    says, so it stays away where there is room for few. breaks: at twice the dense model's value (at half of
    it, where higher is better) a model is broken; cliffs are looked for in it.
    """

    title: Annotated[str, Len(1)]
    better: Literal["", "lower", "higher"] = ""
    hint: str = ""
    percent: bool = False
    unit: str = ""
    aside: bool = False
    breaks: bool = False

    @property
    def scale(self) -> float:
        """What a value is multiplied by before it is shown."""
        return 100.0 if self.percent else 1.0

    @property
    def shown_unit(self) -> str:
        """What stands behind a shown value; may be empty."""
        return "%" if self.percent else self.unit

    def of_seen(self) -> "Quantity":
        """The same of prompts that training and recovery saw."""
        hint = "the same of prompts that training and recovery saw"
        return replace(self, title=f"{self.title}, seen", hint=hint, breaks=False)

    def as_json(self) -> dict[str, Any]:
        """The fields that say something, under their names, as ``report.json`` holds them."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, said: object) -> Self:
        """What ``as_json`` made; ValueError for anything else."""
        if not isinstance(said, Mapping) or not said.keys() <= cls.__annotations__.keys():
            raise ValueError("not what a metric says of itself")
        return cls(**said)
