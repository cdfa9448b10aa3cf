"""Saved models that wait to be opened."""

import copy
from pathlib import Path
from types import SimpleNamespace

from prunelab.stages.reopened import reopened


class Dense:
    def __init__(self) -> None:
        self.opened: list[Path] = []

    def reopened(self, folder: Path) -> SimpleNamespace:
        self.opened.append(folder)
        return SimpleNamespace(name="small", timesteps=7)


def test_a_model_is_opened_once_and_when_it_is_needed() -> None:
    dense, folder = Dense(), Path("somewhere")
    model = reopened(dense, folder)  # type: ignore[arg-type]
    copy.copy(model)
    assert dense.opened == []
    assert (model.name, model.timesteps) == ("small", 7)
    assert dense.opened == [folder]
