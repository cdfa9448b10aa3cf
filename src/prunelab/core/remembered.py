"""The hashes of large files, remembered on the disk: gigabytes are read once, not once per process.

A file is known by its device, inode, size and the time of its last change. Who changes a file and sets its
time back is not noticed: ``prunelab store verify`` reads everything.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

HASHES = ".hashes"  # the folder in a store
LARGE = 2**28  # bytes; what is smaller is read in a second
SETTLED = 2 * 10**9  # nanoseconds since the last change, after which another would show in the time

_place: Path | None = None


def remember_in(folder: Path | None) -> None:
    """From here on, keep the hashes of large files in ``folder``; None: forget that there is one."""
    global _place  # noqa: PLW0603  # of the process, as what it remembers is of the machine
    _place = folder


def hashed(file: Path, read: Callable[[Path], str]) -> str:
    """What ``read`` makes of the file, or what it made of it when it was read before."""
    status = file.stat()
    if _place is None or status.st_size < LARGE:
        return read(file)
    known = _place / f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
    if known.is_file() and (text := known.read_text("ascii", "replace")).isalnum():
        return text
    found = read(file)
    if file.stat().st_mtime_ns == status.st_mtime_ns and time.time_ns() - status.st_mtime_ns > SETTLED:
        with suppress(OSError):  # a store that is read-only, or full, forgets
            known.parent.mkdir(parents=True, exist_ok=True)
            aside = known.with_name(f".{known.name}.{os.getpid()}")
            aside.write_text(found, "ascii")
            aside.replace(known)
    return found
