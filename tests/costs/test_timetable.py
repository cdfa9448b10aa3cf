"""The timetable: what is timed, never how long it took."""

import itertools

import pytest
import torch
from torch import nn

from prunelab.costs import timetable as module


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves one millisecond at every look."""
    ticks = itertools.count()
    monkeypatch.setattr(module, "perf_counter", lambda: next(ticks) / 1000)


@pytest.mark.usefixtures("ticking")
def test_modules_are_timed_with_their_children_and_every_call_counts() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.idle = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return self.inner(self.inner(value))

    times = module.timetable(Twice(), {"value": torch.ones(1, 2)}, ["inner", "idle"], warmup=1, repeats=3)
    assert times[""] == pytest.approx(5)  # looks: whole, inner twice start and end, whole
    assert times["inner"] == pytest.approx(2)
    assert times["idle"] == 0


def test_the_hooks_go() -> None:
    linear = nn.Linear(2, 2)
    module.timetable(linear, {"input": torch.ones(1, 2)}, [], warmup=0, repeats=1)
    assert not linear._forward_hooks
    assert not linear._forward_pre_hooks
