"""Rows of a table that are decoded when they are read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset

from prunelab.core.errors import Refusal

Decode = Callable[[Any], Any]
KEPT_BYTES = 2**30  # of decoded media per table; what comes after is decoded anew each time it is read
READ = 64  # rows read at once, which bounds the memory of what is not decoded yet
# What libraries raise for a file that is not what it should be.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError)


class Kept:
    """Decoded media by row number, filled until it is full.

    Rows are read in passes, under which a cache that forgets the oldest would forget everything.
    """

    def __init__(self, room: int = KEPT_BYTES) -> None:
        self.room = room
        self.media: dict[tuple[str, int], Any] = {}

    def keep(self, key: tuple[str, int], value: Any) -> None:
        """Keep an array while there is room; texts and numbers are not worth it."""
        if isinstance(value, np.ndarray) and value.nbytes <= self.room and key not in self.media:
            self.room -= value.nbytes
            self.media[key] = value


class Rows:
    """A split: see :class:`prunelab.core.tasks.Split`.

    table: columns as they are stored, under the names that tasks know. decode: column -> what makes a value
    of what is stored. numbers: which rows of the table, in which order. Reading a row that cannot be decoded
    is refused in a line that names its file.
    """

    def __init__(
        self, table: Dataset, decode: Mapping[str, Decode], numbers: Sequence[int], kept: Kept | None = None
    ) -> None:
        self.table, self.decode, self.numbers = table, decode, numbers
        self.kept = Kept() if kept is None else kept

    @property
    def column_names(self) -> list[str]:
        """The columns there are."""
        return list(self.decode)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any, /) -> dict[str, Any]:
        """Column -> values of a slice or a list of row numbers, or the value of one row.

        Media and classes come as an array, captions as a list.
        """
        if isinstance(rows, int):
            return {name: values[0] for name, values in self[[rows]].items()}
        numbers = self.numbers[rows] if isinstance(rows, slice) else [self.numbers[i] for i in rows]
        return {name: self._column(name, numbers) for name in self.decode}

    def select_columns(self, columns: list[str]) -> "Rows":
        """The same rows with these columns alone, so that no others are read."""
        return Rows(self.table, {name: self.decode[name] for name in columns}, self.numbers, self.kept)

    def reason(self, number: int) -> str | None:
        """Why row ``number`` of the table cannot be read; None where it can."""
        for name in self.decode:
            try:
                self._read(name, [number])
            except Refusal:  # a ValueError, too: it says that all rows are alike
                raise
            except UNREADABLE as error:
                return f"{self._named(name, number)} ({' '.join(str(error).split()) or type(error).__name__})"
        return None

    def _column(self, name: str, numbers: Sequence[int]) -> Any:
        try:
            values = self._read(name, numbers)
        except Refusal:
            raise
        except UNREADABLE:
            reasons = (reason for number in numbers if (reason := self.reason(number)))
            raise Refusal(
                f"the data's {name} cannot be read: {next(reasons, name)}; mend it, or set data.on_error=skip"
            ) from None
        return values if values and isinstance(values[0], str) else np.asarray(values)

    def _read(self, name: str, numbers: Sequence[int]) -> list[Any]:
        found = {number: self.kept.media.get((name, number)) for number in numbers}
        missing = [number for number, value in found.items() if value is None]
        stored = self.table.select_columns([name])
        for start in range(0, len(missing), READ):
            some = missing[start : start + READ]
            for number, value in zip(some, stored[some][name], strict=True):
                found[number] = self.decode[name](value)
                self.kept.keep((name, number), found[number])
        return [found[number] for number in numbers]

    def _named(self, name: str, number: int) -> str:
        """The file behind a value, or beside a caption, or else its row."""
        stored = self.table[number]
        others = [other for other in ("image", "audio") if other in stored]
        for value in (stored[each] for each in ([name] if name in others else others)):
            path = value.get("path") if isinstance(value, Mapping) else value
            if isinstance(path, str) and path:
                return path
        return f"row {number}"
