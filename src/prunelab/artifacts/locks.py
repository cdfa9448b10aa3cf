"""One job at a time: a lock of the operating system where there is a real one, else a lease.

A lock of the operating system (flock) goes with its holder, however that ends. Where a file system has none,
or one that its other machines do not see, a file says who holds it, and the holder touches it again and
again: what nobody has touched for LEASE seconds, or whose holder is known to be dead, is taken over. What has
neither is refused. A lease that a holder lost to another (its machine slept) costs nothing but time: both
compute the same artifact, and the later one replaces the earlier whole.
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout

from prunelab.artifacts.disk import STORE_REMEDY, local_locks, mount
from prunelab.core.errors import Refusal

LEASE = 60.0  # seconds; the holder shows every third of it that it is alive
LOCKLESS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
WITH_LOCKS = "or have it mounted with them (NFS: with its lock service, Lustre: with flock)"


class Taken(Refusal):
    """A lock that was not to be waited for has a holder."""


@contextmanager
def locked(path: Path, what: str, remedy: str = STORE_REMEDY, wait: bool = True) -> Iterator[None]:
    """Be the only job that does ``what`` (``computes ADDRESS``): that holds the lock file ``path``.

    Waits, and says so once on standard error; raises Taken instead unless ``wait``. Raises Refusal where
    there can be no lock, and OSError where the file cannot be made.
    """
    lock = _acquired(path, what, remedy, wait)
    try:
        yield
    finally:
        lock.release()


def taken(path: Path) -> bool:
    """Whether a job holds the lock file ``path`` at this moment; nothing is left where there was nothing."""
    if not any(place.exists() for place in (path, _lease_path(path))):
        return False
    try:
        with locked(path, "looks", wait=False):
            return False
    except Taken:
        return True


def means(folder: Path) -> str:
    """By what jobs in ``folder`` keep out of each other's way, in words. Raises Refusal if by nothing."""
    probe = folder / ".lock-probe"
    try:
        with locked(probe, "looks at the locks"):
            leased = _lease_path(probe).exists()
    finally:
        probe.unlink(missing_ok=True)
    return f"leases of {LEASE:.0f} s (it has no locks that all its machines see)" if leased else "flock"


def _acquired(path: Path, what: str, remedy: str, wait: bool) -> BaseFileLock:
    """The lock, or the lease where the file system refuses the lock."""
    if not local_locks(path.parent):
        lock = FileLock(path, fallback_to_soft=False)
        try:
            return _acquire(lock, what, wait)
        except OSError as error:
            if error.errno not in LOCKLESS:
                raise
    lease = SoftFileLease(_lease_path(path), lease_duration=LEASE)
    try:
        return _acquire(lease, what, wait)
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise
        reason = (error.strerror or "not supported").lower()
        raise Refusal(
            f"the file system of {path.parent} ({mount(path.parent)}) gives no locks ({reason}), and a job "
            f"that {what} needs one: {remedy}, {WITH_LOCKS}"
        ) from error


def _lease_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lease")  # a lock file that lies there says nothing of a holder


def _acquire(lock: BaseFileLock, what: str, wait: bool) -> BaseFileLock:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise Taken(f"another job {what}") from None
        print(f"waiting for another job that {what}", file=sys.stderr, flush=True)
        lock.acquire()
    return lock
