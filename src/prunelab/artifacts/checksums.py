"""What a folder holds, by content: each file's size and sha256."""

import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from prunelab.core.contents import sha256

Entry = dict[str, int | str]
SETTLED = 2 * 10**9  # nanoseconds since the last change, after which another would show in the times

_READ: dict[Path, tuple[tuple[int, ...], str]] = {}  # what this process has read: stamp and sha256


def listing(folder: Path, leave_out: str) -> dict[str, Entry]:
    """Every file under ``folder`` by its relative path with ``size`` (bytes) and ``sha256``, sorted.

    The file ``leave_out`` at the top of the folder is the one that will hold the listing.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in files}
    return {
        name: {"size": path.stat().st_size, "sha256": sha256(path)}
        for path, name in names.items()
        if name != leave_out
    }


def matches(folder: Path, files: Mapping[str, Entry]) -> bool:
    """Whether every listed file is in ``folder`` with the listed size and content.

    Sizes are compared first, so a truncated file is found without reading the large ones. A file that this
    process has read before is read again when its inode, size or times are not what they were.
    """
    paths = {name: folder / name for name in files}
    if any(_leaves(name) or not path.is_file() for name, path in paths.items()):
        return False
    if any(path.stat().st_size != files[name]["size"] for name, path in paths.items()):
        return False
    return all(_remembered(path) == files[name]["sha256"] for name, path in paths.items())


def _remembered(path: Path) -> str:
    """The sha256 of a file, from memory where nothing has touched the file since it was read.

    A file that changed a moment ago is not remembered: a second change within the clock's grain of the first
    would leave the times as they are. A program cannot set back the time of the inode's last change.
    """
    before = _stamp(path)
    known = _READ.get(path)
    if known is not None and known[0] == before:
        return known[1]
    found = sha256(path)
    if _stamp(path) == before and time.time_ns() - max(before[-2:]) > SETTLED:
        _READ[path] = (before, found)
    return found


def _stamp(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _leaves(name: str) -> bool:
    """Whether a listed name points out of its folder."""
    return PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
