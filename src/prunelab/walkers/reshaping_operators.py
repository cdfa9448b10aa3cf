"""Operators that change their input's shape: removed, a cheaper one has to restore it (LD-Pruner).

The bypass of a convolution is pooling to its output's size and a 1x1 convolution. It starts from a plain
initialisation, the control; the stage that fits it puts the least-squares solution in its place.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from prunelab.core.draws import generator
from prunelab.core.units import Instead, Unit
from prunelab.surgery.pruned_layers import Bypass
from prunelab.walkers.calls import Calls
from prunelab.walkers.operators import operators
from prunelab.walkers.whole import whole


def shape_changing(component: str, root: nn.Module) -> Iterator[Unit]:
    """One operator unit per convolution that changes its shape and that a bypass makes cheaper."""
    known = {unit.path for unit in operators(component, root, Calls(root))}
    for path, module in root.named_modules():
        if isinstance(module, nn.Conv2d) and path not in known and _cheaper(module):
            yield _unit(component, path, module)


def _cheaper(convolution: nn.Conv2d) -> bool:
    bypass = convolution.in_channels * convolution.out_channels
    return convolution.weight.numel() > bypass and not isinstance(convolution.padding, str)


def _unit(component: str, path: str, module: nn.Conv2d) -> Unit:
    unit = whole(component, path, module, "operator", Instead("bypass"))
    return replace(unit, gate=replace(unit.gate, bypass=plain(f"{component}/{path}", module)))


@torch.no_grad()
def plain(name: str, convolution: nn.Conv2d) -> Bypass:
    """A bypass as PyTorch initialises a convolution (He et al. 2015), drawn from its name."""
    bypass = Bypass(convolution)
    random = generator(0, 0, f"bypass of {name}")
    nn.init.kaiming_uniform_(bypass.projection.weight, a=5**0.5, generator=random)
    bypass.get_parameter("projection.bias").zero_()
    return bypass.eval().requires_grad_(False)
