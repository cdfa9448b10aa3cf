"""The keys at the top of a configuration, and what they take."""

from typing import Annotated, Literal

from annotated_types import Len

from prunelab.core.settings import (
    Count,
    Must,
    Names,
    Place,
    Processes,
    Seed,
    Share,
    Text,
    Weights,
    settings,
)

OneOrMore = Annotated[
    Text | Names,
    Must("names nothing, or something twice: give one name, or several, each once, as [one,two]"),
]
Sparsity = Annotated[
    Share | Annotated[dict[Text, Share], Len(1)],
    Must("is outside [0, 1): 0.3 removes 30 %, 0 nothing"),
]


@settings(kw_only=True)
class TopLevel:
    """See the comments of ``config.yaml``; what is chosen from a folder is declared by its class."""

    components: OneOrMore
    sparsity: Sparsity
    rounds: Count
    seed: Seed
    devices: Processes
    weights: Weights
    scratch: bool
    quiet: bool
    verbose: bool
    until: Literal["score", "prune", "recover"] | None
    path: Place | None
    store: Place | None
    group: Text | None
    objective: OneOrMore | None
    keep: Literal["link", "copy"]
