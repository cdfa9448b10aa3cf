import torch
from torch import nn

from prunelab.costs.parameters import nonzeros, parameters


def tied() -> nn.Sequential:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[0.0, 1, 2], [3, 0, 4], [5, 6, 0]]))
        first.bias.fill_(1)
        second.bias.zero_()
    return nn.Sequential(first, second)


def test_tied_weights_count_once() -> None:
    assert parameters(tied()) == 9 + 3 + 3
    assert nonzeros(tied()) == 6 + 3


def test_where_there_are_shapes_alone_no_parameter_is_zero() -> None:
    layer = nn.Linear(4, 2, device="meta")
    assert parameters(layer) == nonzeros(layer) == 10
