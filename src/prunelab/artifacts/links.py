"""Files of artifacts in other folders: linked, so that a sweep over a large model does not fill the disk.

A hard link needs no room, and keeps the file when the store is emptied; it cannot leave its file system, and
some have none. There a symbolic link names the store's file: it leads nowhere once that is gone. Nobody may
change the content of a file that has a link, which would change under all its names: the store notices, and
computes the artifact again, the other folders do not.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

# What systems answer that make no hard link here: another disk, not the owner, too many, not at all.
UNLINKABLE = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
}


def link_files(source: Path, target: Path) -> bool:
    """Put links to the files of ``source`` into ``target``; whether some had to be symbolic ones."""
    return sum(_placed(file, place, _link) for file, place in _pairs(source, target)) > 0


def copy_files(source: Path, target: Path) -> None:
    """Copy the files of ``source``; shutil.copytree would hide a full disk in a list of texts."""
    for file, place in _pairs(source, target):
        _placed(file, place, _copy)


def _pairs(source: Path, target: Path) -> list[tuple[Path, Path]]:
    files = sorted(path for path in source.rglob("*") if path.is_file())
    return [(file, target / file.relative_to(source)) for file in files]


def _placed(file: Path, place: Path, put: Callable[[Path, Path], bool]) -> bool:
    """Put a file into its place, by another name first: what was there goes in the same moment."""
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.partial")
    aside.unlink(missing_ok=True)
    symbolic = put(file, aside)
    aside.replace(place)
    aside.unlink(missing_ok=True)  # a link over another to the same file is left where it was
    return symbolic


def _link(file: Path, place: Path) -> bool:
    try:
        os.link(file.resolve(), place)
    except OSError as error:
        if error.errno not in UNLINKABLE:
            raise
        place.symlink_to(file.resolve())
        return True
    return False


def _copy(file: Path, place: Path) -> bool:
    shutil.copyfile(file, place)
    return False
