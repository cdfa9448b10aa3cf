"""What a folder holds, by content: each file's size and sha256."""

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

Entry = dict[str, int | str]


def listing(folder: Path, leave_out: str) -> dict[str, Entry]:
    """Every file under ``folder`` by its relative path with ``size`` (bytes) and ``sha256``, sorted.

    The file ``leave_out`` at the top of the folder is the one that will hold the listing.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in files}
    return {name: _entry(path) for path, name in names.items() if name != leave_out}


def matches(folder: Path, files: Mapping[str, Entry]) -> bool:
    """Whether every listed file is in ``folder`` with the listed size and content.

    Sizes are compared first, so a truncated file is found without reading the large ones.
    """
    paths = {name: folder / name for name in files}
    if any(_leaves(name) or not path.is_file() for name, path in paths.items()):
        return False
    if any(path.stat().st_size != files[name]["size"] for name, path in paths.items()):
        return False
    return all(sha256(path) == files[name]["sha256"] for name, path in paths.items())


def sha256(path: Path) -> str:
    """The hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(path: Path) -> Entry:
    return {"size": path.stat().st_size, "sha256": sha256(path)}


def _leaves(name: str) -> bool:
    """Whether a listed name points out of its folder."""
    return PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
