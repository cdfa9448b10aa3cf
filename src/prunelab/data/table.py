"""What all data of one's own do alike: open a table, cut deterministic splits from it, name bad rows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Literal

from datasets import Dataset

from prunelab.core import processes
from prunelab.core.draws import order
from prunelab.core.errors import Refusal
from prunelab.core.screen import SCREEN
from prunelab.core.settings import Count, Place, Seed, Text, settings
from prunelab.data.content import contents, fingerprint
from prunelab.data.folder import READERS, chosen
from prunelab.data.loading import (
    AnyTable,
    column_names,
    gathered,
    opened,
    opened_files,
    readable,
    undecoded,
)
from prunelab.data.rows import Decode, Rows

VERSION = 2  # part of the fingerprint: raise it when the same settings give other rows
NAMED = 10  # bad rows that a message names
LONGEST = 2**16  # characters of a caption; what is longer is no caption


@settings(kw_only=True)
class Table:
    """A dataset on the hub, or local files, as ``datasets`` reads them.

    path: a name on the hub, a local folder or a local file. builder: how local files are read, such as
    "parquet"; guessed where it is None. config, revision: of a dataset on the hub. train_split, test_split:
    their names; without a test split, both parts are cut from the train split and share no row. train_size,
    test_size: how many rows of a seeded order either has; None is all. streaming: read no more of the
    dataset than these, after they went through a shuffled buffer of ``buffer_size`` rows. on_error: "stop" at
    a row that cannot be read, or "skip" such rows. cache: where ``datasets`` keeps its files, None is its own
    folder.
    """

    path: Place | None = None
    builder: Text | None = None
    config: Text | None = None
    revision: Text | None = None
    train_split: Text = "train"
    test_split: Text | None = None
    train_size: Count | None = None
    test_size: Count | None = None
    seed: Seed = 0
    streaming: bool = False
    buffer_size: Count = 10000
    on_error: Literal["stop", "skip"] = "stop"
    cache: Place | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be cut or named."""
        if self.builder not in (None, *READERS.values()):
            known = ", ".join(dict.fromkeys(READERS.values()))
            raise Refusal(f"data.builder={self.builder} is unknown: {known}, or null")
        sizes = {"data.train_size": self.train_size, "data.test_size": self.test_size}
        unset = [name for name, size in sizes.items() if size is None]
        if unset and self.streaming:
            raise Refusal(f"a stream has no length: set {' and '.join(unset)}, or data.streaming=false")
        if len(unset) == 2 and self._shared:
            raise Refusal("train and test come from one split: set data.test_size (or data.train_size)")
        self._refuse_duplicates()

    def train(self) -> Rows:
        """What calibration and recovery see."""
        return self._splits[0]

    def test(self) -> Rows:
        """What evaluation sees."""
        return self._splits[1]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the settings and of the content: local files' bytes, else name and revision."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("path", "cache")}
        content = fingerprint(self._place, self._contents) if self._local else self._location
        whole = {"data": type(self).__name__, "version": VERSION, "content": content, **settings}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]

    def columns(self) -> Mapping[str, tuple[str, Decode]]:
        """The columns a task may look at: its name for each -> the table's name, and what decodes a value."""
        raise NotImplementedError

    def needed(self) -> Sequence[str]:
        """The columns, by the task's names, without which there is no use: all but captions."""
        return [name for name in self.columns() if name != "caption"]

    def listed(self, place: Path) -> Dataset | None:
        """A table of the local files at ``place``; None where ``datasets`` reads them as meant.

        Names of files start at the folder ``path``.
        """
        return None

    @property
    def _shared(self) -> bool:
        return self.test_split in (None, self.train_split)

    @property
    def _location(self) -> str:
        if not self.path:
            raise Refusal(
                "data.path is not set: data.path=FOLDER, a file, or the name of a dataset on the hub"
            )
        return self.path

    @property
    def _place(self) -> Path:
        return Path(self._location).expanduser()

    @property
    def _local(self) -> Path | None:
        """The folder or file that a local table is; None for one of the hub."""
        return self._place if self._place.exists() else None

    @cached_property
    def _contents(self) -> Mapping[Path, str]:
        """The files of a local table; no others are read."""
        return contents(self._place)

    def files(self, place: Path, suffixes: frozenset[str]) -> list[Path]:
        """The files of some kinds at ``place``, which is or lies below ``path``, in order."""
        return [
            file for file in self._contents if file.is_relative_to(place) and file.suffix.lower() in suffixes
        ]

    @cached_property
    def _splits(self) -> tuple[Rows, Rows]:
        if not self._shared:
            assert self.test_split is not None
            return (
                self._rows(self.train_split, {"train_size": self.train_size})[0],
                self._rows(self.test_split, {"test_size": self.test_size})[0],
            )
        sizes = {"test_size": self.test_size, "train_size": self.train_size}
        test, train = self._rows(self.train_split, sizes)
        return train, test

    def _rows(self, split: str, settings: Mapping[str, int | None]) -> list[Rows]:
        """Disjoint parts of a split, in a seeded order, each of the given size; None takes what is left."""
        sizes = list(settings.values())
        known = [size for size in sizes if size is not None]
        wanted = sum(known) if len(known) == len(sizes) else None
        whole = self._opened(split, wanted)
        numbers = self._readable(whole, wanted) if self.on_error == "skip" else whole.numbers
        parts, start = [], 0
        for place, size in enumerate(sizes):
            later = sum(each or 0 for each in sizes[place + 1 :])
            stop = max(len(numbers) - later, start) if size is None else start + size
            parts.append(Rows(whole.table, whole.decode, numbers[start:stop], whole.kept))
            start = stop
        if not all(len(part) for part in parts):
            raise Refusal(
                f"{self._location} has {len(numbers)} rows in split {split!r}: too few to train and test "
                f"with data.train_size={self.train_size} and data.test_size={self.test_size}"
            )
        there = f"has {len(numbers)}" + (" that can be read" if self.on_error == "skip" else " in all")
        for (name, size), part in zip(settings.items(), parts, strict=True):
            if size is not None and len(part) < size:
                _say(f"data.{name}={size} gets {len(part)} rows: split {split!r} {there}")
        return parts

    def _opened(self, split: str, wanted: int | None) -> Rows:
        """A split in its seeded order, or the ``wanted`` rows of a stream, with what columns it has."""
        table = self._table(split)
        with readable(self._location, split):
            there = column_names(table)
        columns = {name: pair for name, pair in self.columns().items() if pair[0] in there}
        missing = [name for name in self.needed() if name not in columns]
        if missing:
            raise Refusal(
                f"{self._location} has no column {self.columns()[missing[0]][0]!r} for the {missing[0]}: "
                f"it has {', '.join(there)}; name one in the settings of data"
            )
        table = undecoded(table, {source: name for name, (source, _) in columns.items()})
        decode = {name: decode for name, (_, decode) in columns.items()}
        if isinstance(table, Dataset):
            numbers: list[int] = order(len(table), self.seed, 0, f"subset/{split}").tolist()
            return Rows(table, decode, numbers)
        assert wanted is not None
        with readable(self._location, split):
            table = gathered(table, wanted, self.seed, self.buffer_size)
        return Rows(table, decode, range(len(table)))

    def _table(self, split: str) -> AnyTable:
        if self._local is None:
            return opened(
                self._location, split, self.streaming, self.cache, name=self.config, revision=self.revision
            )
        if self.config is not None:
            raise Refusal(
                f"data.config={self.config} is a part of a dataset on the hub, {self._location} lies here: "
                "data.path=FOLDER of the part alone, and no data.config"
            )
        listed = self.listed(self._place if self._shared else self._place / split)
        if listed is not None:
            return listed
        with readable(self._location, split):
            reader, found = chosen(self._place, self._contents, self.builder, split, not self._shared)
        files = {file: self._contents[file] for file in found}
        return opened_files(self._location, split, reader, files, self.streaming, self.cache)

    def _readable(self, rows: Rows, wanted: int | None) -> list[int]:
        """The first ``wanted`` rows that can be read; what is left out before them is named."""
        good: list[int] = []
        bad: list[str] = []
        for number in rows.numbers:
            if len(good) == wanted:
                break
            reason = rows.reason(number)
            bad.append(reason) if reason else good.append(number)
        if bad:
            more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
            looked = len(bad) + len(good)
            _say(f"{len(bad)} of {looked} rows left out: {', '.join(bad[:NAMED])}{more}")
        return good

    def _refuse_duplicates(self) -> None:
        """A column of the table can be read as one thing only."""
        names: dict[str, list[str]] = {}
        for name, (source, _) in self.columns().items():
            names.setdefault(source, []).append(name)
        for source, several in names.items():
            if len(several) > 1:
                raise Refusal(
                    f"the data's column {source!r} is given as {' and '.join(several)}: each needs a column "
                    "of its own; see data.labels and the other columns in the settings of data"
                )


def _say(line: str) -> None:
    """A line on standard error, once where several processes read the same data."""
    if processes.first():
        SCREEN.warn(f"data: {line}")


def described(caption_column: str | None, labels: Mapping[str, str]) -> dict[str, tuple[str, Decode]]:
    """The columns beside media: a caption, where there is a column for it, and class numbers by label."""
    classes: dict[str, tuple[str, Decode]] = {
        name: (column, _class_number) for name, column in labels.items()
    }
    return classes if caption_column is None else {"caption": (caption_column, caption), **classes}


def caption(value: object) -> str:
    """A caption; the first, where there are several. Raises ValueError where there is none, or no end.

    A class number is its digits: what a class-conditional model reads.
    """
    first = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and value else value
    if isinstance(first, int) and not isinstance(first, bool):
        return str(first)
    if not isinstance(first, str) or not first.strip():
        raise ValueError("no caption")
    if len(first) > LONGEST:
        raise ValueError(f"a caption of more than {LONGEST} characters")
    return first.strip()


def _class_number(value: object) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no class number")
    return value
