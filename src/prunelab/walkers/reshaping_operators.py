"""Operators that change their input's shape: removed, a cheaper one has to restore it (LD-Pruner).

The bypass of a convolution is pooling to its output's size and a 1x1 convolution. It starts from a plain
initialisation, the control; the stage that fits it puts the least-squares solution in its place.
"""

from collections.abc import Iterator

import torch
from torch import nn

from prunelab.core.draws import generator
from prunelab.core.units import Gate, Instead, Slice, Unit
from prunelab.surgery.pruned_layers import Bypass
from prunelab.walkers.operators import operators


def shape_changing(component: str, root: nn.Module) -> Iterator[Unit]:
    """One operator unit per convolution that changes its shape and that a bypass makes cheaper."""
    known = {unit.path for unit in operators(component, root)}
    for path, module in root.named_modules():
        if isinstance(module, nn.Conv2d) and path not in known and _cheaper(module):
            yield _unit(component, path, module)


def _cheaper(convolution: nn.Conv2d) -> bool:
    bypass = convolution.in_channels * convolution.out_channels
    return convolution.weight.numel() > bypass and not isinstance(convolution.padding, str)


def _unit(component: str, path: str, module: nn.Conv2d) -> Unit:
    owned = [(f"{path}.{name}", parameter) for name, parameter in module.named_parameters()]
    return Unit(
        component=component,
        path=path,
        granularity="operator",
        elements=1,
        slices=tuple(Slice(name, dim=0, block=parameter.shape[0]) for name, parameter in owned),
        gate=Gate(path, "output", bypass=plain(f"{component}/{path}", module)),
        host=path,
        instead=Instead("bypass"),
    )


@torch.no_grad()
def plain(name: str, convolution: nn.Conv2d) -> Bypass:
    """A bypass as PyTorch initialises a convolution (He et al. 2015), drawn from its name."""
    bypass = Bypass(convolution)
    random = generator(0, 0, f"bypass of {name}")
    nn.init.kaiming_uniform_(bypass.projection.weight, a=5**0.5, generator=random)
    bypass.get_parameter("projection.bias").zero_()
    return bypass.eval().requires_grad_(False)
