"""What a store holds: every artifact with its size, its age, what made it, and what it was made from."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prunelab.artifacts import record
from prunelab.artifacts.addresses import HASH_DIGITS
from prunelab.artifacts.store import Store

ADDRESS = re.compile(rf"^([a-z]+)-(?:[A-Za-z0-9_.-]+-)?[0-9a-f]{{{HASH_DIGITS}}}$")
# What was measured of models: who reports the models reports these. Other models made from the same scores
# belong to other reports.
MEASURED = ("sample", "evaluate", "cost", "compress", "time", "outcome")
# Made from data or a model as given: nothing names them, and whatever is computed next reads them.
UNNAMED = ("cost", "encode", "judge", "timetable")


@dataclass(frozen=True)
class Entry:
    """An artifact: its bytes on the disk, and what its record says; of a broken one there is no record.

    created: None where the record is broken. parents: the addresses that it was made from.
    """

    address: str
    size: int
    created: datetime | None = None
    versions: Mapping[str, str] | None = None
    parents: frozenset[str] = frozenset()

    @property
    def stage(self) -> str:
        """The stage that made it."""
        return self.address.partition("-")[0]

    def age(self) -> float:
        """Days since it was made; 0 where that is not known."""
        return (datetime.now(UTC) - self.created).total_seconds() / 86400 if self.created else 0.0


def inventory(store: Store) -> list[Entry]:
    """Every artifact of the store by its address, in order. Files are measured, not read."""
    found = store.root.iterdir() if store.root.is_dir() else iter(())
    return [_entry(path) for path in sorted(found) if path.is_dir() and ADDRESS.match(path.name)]


def leftovers(store: Store) -> dict[str, int]:
    """Bytes of the work in progress in ``.partial``, by address."""
    folder = store.root / ".partial"
    return {path.name: size(path) for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def size(folder: Path) -> int:
    """Bytes of the files below a folder, links not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def reachable(entries: Iterable[Entry], named: Iterable[str]) -> set[str]:
    """The addresses that reports which name ``named`` rest on.

    That is what the named were made from, back to the start, and what was measured of nothing but these:
    samples, metrics, times. So the runs behind the reports find everything when they are run again.
    """
    known = {entry.address: entry for entry in entries}
    kept, todo = set[str](), [address for address in named if address in known]
    while todo:
        address = todo.pop()
        if address not in kept:
            kept.add(address)
            todo += [parent for parent in known[address].parents if parent in known]
    measured = [each for each in known.values() if each.stage in MEASURED and each.parents]
    while more := {each.address for each in measured if each.parents <= kept} - kept:
        kept |= more
    return kept | {each.address for each in known.values() if each.stage in UNNAMED and not each.parents}


def _entry(folder: Path) -> Entry:
    content = record.read(folder)
    if content is None or content.get("address") != folder.name:
        return Entry(folder.name, size(folder))
    return Entry(
        folder.name,
        size(folder),
        datetime.fromisoformat(content["created"]),
        content.get("versions"),
        frozenset(addresses(content["inputs"])),
    )


def addresses(inputs: Any) -> Iterator[str]:
    """Every address that stands anywhere among inputs, in their order."""
    if isinstance(inputs, str) and ADDRESS.match(inputs):
        yield inputs
    elif isinstance(inputs, dict | list):
        for value in inputs.values() if isinstance(inputs, dict) else inputs:
            yield from addresses(value)
