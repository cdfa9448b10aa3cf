"""Who may use what a store holds: all whom the permissions of its folder let write there."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared(root: Path) -> Iterator[int]:
    """Inside the context, new files and folders are open to those who may write into ``root``.

    Yields the umask. A group's store has a root with ``chmod g+ws``: the set-group-ID bit, which folders
    inherit, hands everything to the group, and here the umask stops taking the group's permission to write
    away. The umask is the process's. A root that is not there yet, or whose sticky bit keeps members from
    each other's files, changes nothing.
    """
    granted = _granted(root)
    before = os.umask(0o077)
    try:
        os.umask(before & ~granted)
        yield before & ~granted
    finally:
        os.umask(before)


def open_up(folder: Path, umask: int) -> None:
    """Give what lies in ``folder`` the permissions that ``umask`` leaves to new files.

    Some writers keep theirs to the owner whatever the umask says (safetensors does). Nothing is taken away,
    and what belongs to another is left alone.
    """
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        if status.st_uid == os.geteuid() and kind in (stat.S_IFREG, stat.S_IFDIR):
            usual = (0o777 if kind == stat.S_IFDIR else 0o666) & ~umask
            if usual & ~status.st_mode:
                path.chmod(stat.S_IMODE(status.st_mode) | usual)


def _granted(root: Path) -> int:
    """The permissions of ``root`` for its group and for others, of either that may write."""
    try:
        mode = root.stat().st_mode
    except OSError:
        return 0
    if mode & stat.S_ISVTX:
        return 0
    return sum(mode & whole for whole, write in ((0o070, 0o020), (0o007, 0o002)) if mode & write)
