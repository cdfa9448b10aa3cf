"""The bytes behind a value of a column, and what identifies local files."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec

from prunelab.core.errors import Refusal


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
        return _below(place, value).read_bytes()
    raise ValueError(f"a file is expected, not {type(value).__name__}")


def _read(location: str) -> bytes:
    with fsspec.open(location, "rb") as file:
        content: bytes = file.read()
    return content


def _below(place: Path | None, value: str) -> Path:
    """Paths must lie below the folder whose content identifies the data."""
    _refuse_address(value)
    outside = Path(value).is_absolute() or os.path.normpath(value).startswith("..")
    if place is None or not place.is_dir() or outside:
        raise ValueError("a path in a table must be relative to the folder data.path and lie in it")
    return place / value


def _inside(place: Path, value: str) -> str:
    """As ``_below``, of what ``datasets`` writes: a whole path, also in an archive (``zip://NAME::PATH``)."""
    archived, _, name = value.rpartition("::")
    _refuse_address(name)
    whole = Path(os.path.normpath(place.absolute() / name))
    inside = any(whole.is_relative_to(os.path.normpath(each)) for each in (place.absolute(), place.resolve()))
    chained = archived and (not archived.startswith("zip://") or "::" in archived)
    if not place.is_dir() or not inside or chained:
        raise ValueError("a path in a table must lie in the folder data.path")
    return f"{archived}::{whole}" if archived else str(whole)


def _refuse_address(value: str) -> None:
    if value.startswith(("http://", "https://")):
        raise Refusal(
            f"the data holds addresses ({value}), not files: download them first (img2dataset does)"
        )


def fingerprint(place: Path) -> str:
    """A hash of a file's bytes, or of the relative names and bytes of all files of a folder.

    Neither the place nor hidden files count.
    """
    digest = hashlib.sha256()
    for file in files(place):
        digest.update(f"{file.relative_to(place).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def files(place: Path, suffixes: frozenset[str] | None = None) -> list[Path]:
    """The files of a folder (or the file itself), sorted by name, of some kinds or all."""
    found = [place] if place.is_file() else sorted(place.rglob("*"))
    return [
        file
        for file in found
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(place).parts)
        and (suffixes is None or file.suffix.lower() in suffixes)
    ]
