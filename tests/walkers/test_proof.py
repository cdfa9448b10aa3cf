"""What is offered was tried: attentions that only look like others are refused, and say why."""

import pytest
import torch
from torch import Tensor, nn

from prunelab.costs.meta_copy import meta_copy
from prunelab.walkers.calls import Calls
from prunelab.walkers.walk import walk


class Odd(nn.Module):
    """An attention of four heads that mixes them, fixes their number, or does neither."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.heads = kind, 4
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, hidden_states: Tensor) -> Tensor:
        heads = 4 if self.kind == "fixed" else self.heads
        split = [
            layer(hidden_states).unflatten(-1, (heads, -1)) for layer in (self.to_q, self.to_k, self.to_v)
        ]
        query, key, value = (each.transpose(1, 2) for each in split)
        if self.kind == "mixing":
            value = value - value.mean(1, keepdim=True)
        made = nn.functional.scaled_dot_product_attention(query, key, value)
        made = made.transpose(1, 2).flatten(2)
        if self.kind == "to its input's width":
            made = made.reshape(hidden_states.shape)
        return self.to_out(made)


class Net(nn.Module):
    """One attention in a residual."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.attention = Odd(kind)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)  # as some models start: everything would look equal

    def forward(self, hidden_states: Tensor) -> tuple[Tensor]:
        return (hidden_states + self.attention(hidden_states),)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("plain", None),
        ("mixing", "gated and slimmed it differs"),
        ("fixed", "gated and slimmed it differs"),
        ("to its input's width", "it does not run without some"),
    ],
)
def test_each_kind_is_tried_with_noise_for_weights(kind: str, told: str | None) -> None:
    root = Net(kind).eval().requires_grad_(False)
    inputs = {"hidden_states": torch.zeros(2, 9, 16)}
    units = walk("net", root, ["head"], lambda: inputs)
    assert [unit.path for unit in units] == (["attention"] if told is None else [])
    refusals = Calls(root).recording.refusals
    assert refusals.get(("head", "attention"), "None").startswith(str(told))
    assert all(not parameter.any() for parameter in root.parameters())  # the model's own are left alone
    assert bool(walk("net", meta_copy(root), ["head"], lambda: inputs)) == (kind != "to its input's width")


def test_without_a_call_only_what_is_known_is_offered() -> None:
    (unit,) = walk("net", Net("plain"), ["head"])
    assert unit.elements == 4
    assert walk("net", Net("plain"), ["operator", "block"]) == []
