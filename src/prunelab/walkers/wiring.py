"""What leads where in a network, as torch-pruning's dependency graph has it."""

from collections.abc import Mapping
from typing import Any

import torch
import torch_pruning
from torch import nn


class Settled(dict[Any, Any]):
    """Nodes by module, among which nothing is left to be worked out: there are no ``items``."""

    def items(self) -> Any:
        """None."""
        return dict[Any, Any]().items()


def wiring(network: nn.Module, inputs: Mapping[str, Any]) -> Any:
    """The graph of a network with gradients that nobody changes while groups are asked of it.

    Before every group torch-pruning goes through the ``items`` of all nodes and works out how indices become
    each other's in concatenations, splits and the like: widths may have changed since the group before.
    That takes most of the time, and gives the same again.
    """
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            network, inputs, output_transform=lambda output: output[0], verbose=False
        )
    graph.module2node = Settled(graph.module2node)
    return graph
