"""The four costs of a component that every report names."""

from torch import nn

from prunelab.core.protocols import Model
from prunelab.costs.counts import Counts
from prunelab.costs.macs import Macs
from prunelab.costs.parameters import nonzeros, parameters

COSTS = ("parameters", "nonzeros", "macs", "macs_without_attention")


def component_costs(module: nn.Module, counted: Macs) -> dict[str, int]:
    """Parameters, non-zeros and the MACs of one forward pass, which are given."""
    return {
        "parameters": parameters(module),
        "nonzeros": nonzeros(module),
        "macs": counted.total,
        "macs_without_attention": counted.without_attention,
    }


def model_costs(model: Model, counts: Counts | None = None) -> dict[str, dict[str, int]]:
    """Costs per component for a batch of one, and their sums as ``total``: one forward pass of each.

    ``counts`` knows the components that the model shares with another one.
    """
    counts = counts or Counts(model)
    costs = {
        name: component_costs(module, counts.of(model, name)) for name, module in model.components.items()
    }
    return {**costs, "total": {key: sum(each[key] for each in costs.values()) for key in COSTS}}
