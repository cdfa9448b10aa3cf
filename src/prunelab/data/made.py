"""Splits whose rows are made when they are read: a job whose results are stored reads captions alone."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from prunelab.core.draws import generator
from prunelab.core.settings import Count, Seed, settings

if TYPE_CHECKING:
    from datasets import Dataset, Features

Make = Callable[[Sequence[int]], Mapping[str, Any]]


class Made:
    """A split: see :class:`prunelab.core.tasks.Split`; row i of every column depends on i alone.

    columns: name -> what gives that column, perhaps with others, for row numbers: arrays, or lists of texts.
    features: what ``datasets`` calls the columns' types.
    """

    def __init__(self, rows: int, columns: Mapping[str, Make], features: Callable[[], "Features"]) -> None:
        self.rows, self.columns, self._features = rows, dict(columns), features

    @property
    def column_names(self) -> list[str]:
        """The columns there are."""
        return list(self.columns)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, rows: Any, /) -> Any:
        """Column -> values of a slice or a list of row numbers, or of one row; of a name, its column."""
        if isinstance(rows, str):
            return self.select_columns([rows])[:][rows]
        if isinstance(rows, int):
            return {name: values[0] for name, values in self[[range(self.rows)[rows]]].items()}
        numbers = range(self.rows)[rows] if isinstance(rows, slice) else [range(self.rows)[i] for i in rows]
        made = [make(numbers) for make in dict.fromkeys(self.columns.values())]
        return {name: next(each[name] for each in made if name in each) for name in self.columns}

    def select_columns(self, columns: Sequence[str]) -> "Made":
        """The same rows with these columns alone, so that no others are made."""
        return Made(self.rows, {name: self.columns[name] for name in columns}, self._features)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.table)

    @property
    def features(self) -> "Features":
        """The types of the columns, with the names of classes."""
        return self.table.features

    @cached_property
    def table(self) -> "Dataset":
        """The same rows as ``datasets`` holds them, in memory, read as numpy arrays."""
        from datasets import Dataset  # takes a second

        return Dataset.from_dict(self[:], features=self._features()).with_format("numpy")


@settings
class MadeData:
    """Two splits that are made on the spot; item i of a split depends on ``(seed, i, split)`` alone.

    seed: which items are drawn. train_size, test_size: how many items either split has. Media are read as
    numpy arrays.
    """

    NAME: ClassVar[str]
    VERSION: ClassVar[int]  # part of the fingerprint: raise it when the same settings give other items

    seed: Seed = 0
    train_size: Count = 15000
    test_size: Count = 2000

    def train(self) -> Made:
        """The split to learn from."""
        return self.made(self.train_size, "train")

    def test(self) -> Made:
        """As ``train``, of other draws."""
        return self.made(self.test_size, "test")

    def made(self, items: int, split: str) -> Made:
        """A split of so many items, which are made when they are looked at."""
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides the content of the two splits."""
        content = {"data": self.NAME, "version": self.VERSION, **asdict(self)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def drawn(rows: Sequence[int], count: int, purpose: str, seed: int) -> torch.Tensor:
    """``count`` uniform numbers for each of the rows, from a generator of the row's own: (rows, count)."""
    if not len(rows):
        return torch.empty(0, count)
    return torch.stack([torch.rand(count, generator=generator(seed, row, purpose)) for row in rows])


def pick(uniform: torch.Tensor, size: int) -> torch.Tensor:
    """Uniform numbers in [0, 1) as integers in [0, size)."""
    return (uniform * size).long().clamp_(max=size - 1)
