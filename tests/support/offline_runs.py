"""What W&B wrote of a run: the records of a ``.wandb`` file, read without wandb's own tools.

The file is LevelDB's log: blocks of 32768 bytes, in which records lie as (crc, length, type) and content.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import ArtifactRecord, MetricRecord, Record, RunRecord

BLOCK, HEADER = 32768, 7
WHOLE, LAST = 1, 4


@dataclass
class Logged:
    """One run: what it was opened with, what was logged, and what became of it."""

    folder: Path
    run: RunRecord = field(default_factory=RunRecord)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, MetricRecord] = field(default_factory=dict)
    used: list[ArtifactRecord] = field(default_factory=list)
    made: list[ArtifactRecord] = field(default_factory=list)
    exit_code: int | None = None

    def series(self, name: str) -> list[Any]:
        """The values of one name, in order."""
        return [entry[name] for entry in self.history if name in entry]

    def file(self, name: str) -> Path:
        """The file behind a picture, a sound or a table of the summary."""
        return self.folder / "files" / self.summary[name]["path"]


def runs(folder: Path) -> list[Logged]:
    """The runs below ``folder``, as they began."""
    files = sorted(folder.rglob("run-*.wandb"), key=lambda path: path.parent.name)
    return sorted((read(path) for path in files), key=lambda one: one.run.start_time.ToNanoseconds())


def read(path: Path) -> Logged:
    """One run."""
    found = Logged(path.parent)
    for content in _records(path.read_bytes()):
        _add(found, Record.FromString(content))
    return found


def _add(found: Logged, record: Record) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        found.run = record.run
        _update(found.config, record.run.config.update)
    elif kind == "config":
        _update(found.config, record.config.update)
    elif kind == "summary":
        _update(found.summary, record.summary.update)
    elif kind == "history":
        found.history.append({})
        _update(found.history[-1], record.history.item)
    elif kind == "metric":
        found.metrics[record.metric.name] = record.metric
    elif kind == "artifact":
        (found.used if record.artifact.use_after_commit else found.made).append(record.artifact)
    elif kind == "exit":
        found.exit_code = record.exit.exit_code


def _update(content: dict[str, Any], items: Any) -> None:
    for item in items:
        *above, name = item.nested_key or [item.key]
        place = content
        for each in above:
            place = place.setdefault(each, {})
        place[name] = json.loads(item.value_json)


def _records(content: bytes) -> Iterator[bytes]:
    assert content[:4] == b":W&B"
    place, parts = HEADER, b""
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""
