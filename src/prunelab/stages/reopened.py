"""A saved model that is opened when it is needed, which it is not where its results are stored."""

from functools import cached_property
from pathlib import Path
from typing import Any, cast

from prunelab.core.protocols import Model


class _Reopened:
    """Stands for the model in ``folder``; opened, as ``dense`` does, when anything of it is asked for."""

    def __init__(self, dense: Model, folder: Path) -> None:
        self.dense, self.folder = dense, folder

    @cached_property
    def opened(self) -> Model:
        return self.dense.reopened(self.folder)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copying and the like ask for before there is anything to open
            raise AttributeError(name)
        return getattr(self.opened, name)


def reopened(dense: Model, folder: Path) -> Model:
    """The model saved in ``folder``, of the kind of ``dense``."""
    return cast(Model, _Reopened(dense, folder))
