"""The four costs of a component that every report names."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from prunelab.core.protocols import Model
from prunelab.costs.macs import macs
from prunelab.costs.parameters import nonzeros, parameters

COSTS = ("parameters", "nonzeros", "macs", "macs_without_attention")


def component_costs(module: nn.Module, example_inputs: Mapping[str, Any]) -> dict[str, int]:
    """Parameters, non-zeros and the MACs of one forward pass of the example batch.

    Where there are shapes alone (the meta device), every parameter counts as one that is not zero.
    """
    counted = macs(module, example_inputs)
    shapes = any(parameter.is_meta for parameter in module.parameters())
    return {
        "parameters": parameters(module),
        "nonzeros": parameters(module) if shapes else nonzeros(module),
        "macs": counted.total,
        "macs_without_attention": counted.without_attention,
    }


def model_costs(model: Model) -> dict[str, dict[str, int]]:
    """Costs per component for a batch of one, and their sums as ``total``: one forward pass of each."""
    costs = {
        name: component_costs(module, model.example_inputs(name, 1))
        for name, module in model.components.items()
    }
    return {**costs, "total": {key: sum(each[key] for each in costs.values()) for key in COSTS}}
