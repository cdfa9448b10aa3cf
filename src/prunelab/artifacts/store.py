"""The store: a folder of artifacts that many jobs share and any of them may be killed in.

Inside the root an artifact is a folder named by its address. ``.partial`` holds work in progress,
``.locks`` one lock file per address, ``.discarded`` what is on its way out.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from prunelab.artifacts import record
from prunelab.artifacts.disk import refusing_disk_errors, sync, sync_tree


def default_root() -> Path:
    """``$PRUNELAB_STORE``, else ``~/.cache/prunelab``."""
    chosen = os.environ.get("PRUNELAB_STORE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "prunelab"


class Store:
    """Artifacts under one root folder.

    The way to fill it, safe against kills and other jobs::

        with store.hold(address):
            if not store.valid(address):
                folder = store.partial(address) / "result"
                ...  # compute, write into folder
                store.commit(address, folder, inputs)

    A full disk or a root that cannot be written is a Refusal in every method and in ``hold``'s block.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().absolute()

    def path(self, address: str) -> Path:
        """The folder of an artifact, there or not."""
        return self._place("", address)

    def valid(self, address: str) -> bool:
        """Whether the artifact is there, whole and unaltered: all listed files, sizes and checksums."""
        with refusing_disk_errors(self.root):
            return record.holds(self.path(address), address)

    @contextmanager
    def hold(self, address: str) -> Iterator[None]:
        """Be the only job, of all that share the store, that computes ``address``.

        Waits as long as another does, and says so once on standard error. A killed holder lets go.
        """
        lock = FileLock(self._place(".locks", f"{address}.lock"))
        with refusing_disk_errors(self.root):
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            _acquire(lock, address)
            try:
                yield
            finally:
                lock.release()

    def partial(self, address: str) -> Path:
        """A scratch folder of this address that outlives kills, until ``commit`` or ``discard``."""
        folder = self._place(".partial", address)
        with refusing_disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def commit(self, address: str, folder: Path, inputs: Mapping[str, object]) -> None:
        """Make ``folder`` the artifact ``address``, replacing one that is there, and drop its partial.

        ``folder`` lies under ``partial(address)`` or is it; ``inputs`` (JSON values: stage, version,
        parents) are kept in the record. Until the final rename nothing valid is there to be read.
        """
        assert folder.absolute().is_relative_to(self.root), f"{folder} is not in the store {self.root}"
        with refusing_disk_errors(self.root):
            record.write(folder, address, inputs)
            sync_tree(folder)
            self._remove(self.path(address))
            folder.rename(self.path(address))
            sync(self.root)
            self._remove(self._place(".partial", address))

    def discard(self, address: str) -> None:
        """Forget the artifact and its partial work, if there is any."""
        with refusing_disk_errors(self.root):
            self._remove(self.path(address))
            self._remove(self._place(".partial", address))

    def _place(self, corner: str, name: str) -> Path:
        assert name == Path(name).name.lstrip("."), f"{name!r} is not an address"
        return self.root / corner / name

    def _remove(self, folder: Path) -> None:
        """Delete a folder so that a kill on the way leaves no half of it under its own name."""
        grave = self._place(".discarded", folder.name)
        if grave.exists():
            shutil.rmtree(grave)
        if folder.exists():
            grave.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(grave)
            shutil.rmtree(grave)


def _acquire(lock: FileLock, address: str) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another job that computes {address}", file=sys.stderr, flush=True)
        lock.acquire()
