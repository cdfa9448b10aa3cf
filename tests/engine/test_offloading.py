"""Components that are on a device only while they run."""

import torch
from torch import Tensor, nn

from prunelab.engine.offloading import visiting

AWAY = torch.device("meta")


class Recorder(nn.Module):
    """Notes where it is told to be, and on what it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def to(self, *where: object, **_: object) -> "Recorder":
        self.events.append(f"to {where[0]}")
        return self

    def forward(self, value: Tensor) -> Tensor:
        self.events.append(f"run on {value.device.type}")
        return value

    def decode(self, value: Tensor) -> Tensor:
        decoded: Tensor = self(value)
        return decoded


def test_it_is_there_for_each_call_and_then_home() -> None:
    component = Recorder()
    with visiting([component], AWAY):
        assert component(torch.zeros(1)).device == AWAY
        assert component.events == ["to meta", "run on meta", "to cpu"]
        component.events.clear()
        component.decode(value=torch.zeros(1))  # which calls its forward: it is home after the outer call
        assert component.events == ["to meta", "to meta", "run on meta", "to cpu"]
    component.events.clear()
    component.decode(torch.zeros(1))
    assert component.events == ["run on cpu"]
    assert not {"forward", "decode", "_hf_hook"} & vars(component).keys()
