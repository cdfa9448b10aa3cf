"""The bytes behind a value of a column, and what identifies local files."""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec

from prunelab.core.contents import files, sha256
from prunelab.core.errors import Refusal

MOST_BYTES = 2**29  # of one file of a table


def file_bytes(value: Any, place: Path | None) -> bytes:
    """The content of a file that a table holds or points to.

    value: bytes, ``{"bytes": ..., "path": ...}`` as ``datasets`` stores media, or a path. place: the local
    folder or file that the table is, None for one of the hub. Raises ValueError or OSError where there is
    nothing to read; refuses addresses in a local table.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        if value.get("bytes") is not None:
            return bytes(value["bytes"])
        if not value.get("path"):
            raise ValueError("neither bytes nor a path")
        return _read(str(value["path"]) if place is None else _inside(place, str(value["path"])))
    if isinstance(value, str):
        return _read(str(_below(place, value)))
    raise ValueError(f"a file is expected, not {type(value).__name__}")


def _read(location: str) -> bytes:
    try:
        with fsspec.open(location, "rb") as file:
            content: bytes = file.read(MOST_BYTES + 1)
    except (RuntimeError, zipfile.BadZipFile, zlib.error) as error:  # of archives: encrypted, broken
        raise ValueError(str(error)) from error
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    return content


def _below(place: Path | None, value: str) -> Path:
    """Paths must lie below the folder whose content identifies the data."""
    _refuse_address(value)
    name = os.path.normpath(value)
    if place is None or not place.is_dir() or Path(value).is_absolute() or name.startswith(".."):
        raise ValueError("a path in a table must be relative to the folder data.path and lie in it")
    return _counted(place, place / name)


def _inside(place: Path, value: str) -> str:
    """As ``_below``, of what ``datasets`` writes: a whole path, also in an archive (``zip://NAME::PATH``)."""
    archived, _, name = value.rpartition("::")
    _refuse_address(name)
    whole = Path(os.path.normpath(place.absolute() / name))
    folders = [Path(os.path.normpath(each)) for each in (place.absolute(), place.resolve())]
    inside = [folder for folder in folders if whole.is_relative_to(folder)]
    chained = archived and (not archived.startswith("zip://") or "::" in archived)
    if not place.is_dir() or not inside or chained:
        raise ValueError("a path in a table must lie in the folder data.path")
    return f"{archived}::{_counted(inside[0], whole)}" if archived else str(_counted(inside[0], whole))


def _counted(folder: Path, file: Path) -> Path:
    """The file, if it is among those whose content identifies the data, see ``contents``."""
    if any(part.startswith(".") for part in file.relative_to(folder).parts):
        raise ValueError("a path in a table must not lead to a hidden file: those do not count as content")
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}")
    return file


def _refuse_address(value: str) -> None:
    if value.startswith(("http://", "https://")):
        raise Refusal(
            f"the data holds addresses ({value}), not files: download them first (img2dataset does)"
        )


def contents(place: Path) -> dict[Path, str]:
    """The files of a folder, or the file itself, without hidden ones, each with the sha256 of its bytes.

    Links are followed, see :func:`prunelab.core.contents.files`: what lies behind them counts.
    """
    found = files(place, hidden=False)
    for file in found:
        if "::" in file.relative_to(place).as_posix():
            raise Refusal(f"{file} has :: in its name, which stands for an archive: rename it")
    return {file: sha256(file) for file in found}


def fingerprint(place: Path, there: Mapping[Path, str]) -> str:
    """A hash of the ``contents`` of a place with their relative names; the place does not count."""
    named = {file.relative_to(place).as_posix(): content for file, content in there.items()}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
