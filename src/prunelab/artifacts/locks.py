"""One job at a time: a lock of the operating system, which a killed holder lets go."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from prunelab.artifacts.disk import STORE_REMEDY, mount
from prunelab.core.errors import Refusal

LOCKLESS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
WITH_LOCKS = "or have it mounted with them (NFS: with its lock service, Lustre: with flock)"


@contextmanager
def locked(path: Path, address: str) -> Iterator[None]:
    """Be the only one that holds the lock file ``path``; waits, and says so once on standard error.

    Raises Refusal where the file system has no locks, and OSError where the file cannot be made. The
    library's own way out, a file whose existence is the lock, is not taken: a killed holder would keep it.
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        _acquire(lock, address)
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise
        reason = (error.strerror or "not supported").lower()
        raise Refusal(
            f"the file system of {path.parent} ({mount(path.parent)}) gives no locks ({reason}), and "
            f"{address} has to be computed: {STORE_REMEDY}, {WITH_LOCKS}"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, address: str) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another job that computes {address}", file=sys.stderr, flush=True)
        lock.acquire()
