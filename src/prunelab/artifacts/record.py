"""``artifact.json``: what an artifact was made from and what its files hold."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prunelab.artifacts.addresses import canonical
from prunelab.artifacts.checksums import listing, matches

RECORD = "artifact.json"
SCHEMA = 1


def write(folder: Path, address: str, inputs: Mapping[str, object]) -> None:
    """Write ``folder``'s record: address, inputs, files with size and sha256, time, and its own checksum.

    Raises TypeError for inputs that JSON cannot hold.
    """
    record: dict[str, object] = {
        "schema": SCHEMA,
        "address": address,
        "inputs": canonical(inputs, "inputs"),
        "files": listing(folder, leave_out=RECORD),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    record["sha256"] = _checksum(record)
    (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def holds(folder: Path, address: str) -> bool:
    """Whether ``folder`` has a sound record of ``address`` and every file is as the record says."""
    record = _read(folder / RECORD)
    return record is not None and record["address"] == address and matches(folder, record["files"])


def _read(path: Path) -> dict[str, Any] | None:
    """The record, or None when it is missing, garbage, of another schema, or was altered."""
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return None
    return record if record.pop("sha256", None) == _checksum(record) else None


def _checksum(record: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
