"""``artifact.json``: what an artifact was made from and what its files hold."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prunelab.artifacts.addresses import canonical
from prunelab.artifacts.checksums import listing, matches
from prunelab.artifacts.disk import FAILING
from prunelab.core.versions import versions

RECORD = "artifact.json"
SCHEMA = 1


def write(folder: Path, address: str, inputs: Mapping[str, object]) -> None:
    """Write ``folder``'s record: address, inputs, files, time, the versions that made it, its checksum.

    Raises TypeError for inputs that JSON cannot hold.
    """
    record: dict[str, object] = {
        "schema": SCHEMA,
        "address": address,
        "inputs": canonical(inputs, "inputs"),
        "files": listing(folder, leave_out=RECORD),
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    record["sha256"] = _checksum(record)
    (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def holds(folder: Path, address: str) -> bool:
    """Whether ``folder`` has a sound record of ``address`` and every file is as the record says.

    What cannot be read is no artifact. Raises OSError where the disk failed: that says nothing of it.
    """
    try:
        record = read(folder)
        return record is not None and record.get("address") == address and matches(folder, record["files"])
    except OSError as error:
        if error.errno in FAILING:
            raise
        return False


def read(folder: Path) -> dict[str, Any] | None:
    """The record of an artifact's folder; its files are not looked at.

    None when it is missing, no file, garbage, of another schema, or was altered.
    """
    path = folder / RECORD
    if not path.is_file():  # opening a pipe would wait for a writer
        return None
    try:
        record = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):  # no text, no JSON, numbers or nesting without end
        return None
    if not _sound(record):
        return None
    sound: dict[str, Any] = record
    return sound if sound.pop("sha256", None) == _checksum(sound) else None


def _sound(record: object) -> bool:
    """Whether a record has the form that ``write`` gives it."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return False
    files = record.get("files")
    return isinstance(files, dict) and all(
        isinstance(entry, dict) and entry.keys() >= {"size", "sha256"} for entry in files.values()
    )


def _checksum(record: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
