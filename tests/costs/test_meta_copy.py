import torch
from torch import nn

from prunelab.costs.meta_copy import meta_copy


class Uncopied(nn.Parameter):
    def __deepcopy__(self, memo: object) -> "Uncopied":
        raise AssertionError("the weights were copied")


class Recorder:
    """What a forward hook writes to: large, and none of the copy's business."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_: object) -> None:
        self.calls += 1

    def __deepcopy__(self, memo: object) -> "Recorder":
        raise AssertionError("the recorder was copied")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.first.weight = Uncopied(self.first.weight.data)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.first.weight
        self.norm = nn.BatchNorm1d(4)
        self.table = torch.ones(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.tied(self.first(x))) + self.table


def test_the_copy_has_the_structure_and_no_numbers() -> None:
    net = Net()
    weights = {name: value.clone() for name, value in net.state_dict().items()}

    shadow = meta_copy(net)

    assert {name: value.shape for name, value in shadow.state_dict().items()} == {
        name: value.shape for name, value in weights.items()
    }
    assert all(value.is_meta for value in shadow.state_dict().values())
    assert shadow.table.is_meta
    assert shadow.tied.weight is shadow.first.weight
    assert not shadow.training
    assert net.training
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())


def test_hooks_stay_with_the_original() -> None:
    net, recorder = Net(), Recorder()
    net.first.register_forward_hook(recorder)
    net.first.register_forward_pre_hook(recorder)

    meta_copy(net)(torch.zeros(2, 4, device="meta"))
    assert recorder.calls == 0

    net(torch.zeros(2, 4))
    assert recorder.calls == 2
