"""The store: a folder of artifacts that many jobs share and any of them may be killed in.

Inside the root an artifact is a folder named by its address. ``.partial`` holds work in progress,
``.locks`` one lock file per address, ``.discarded`` what is on its way out.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prunelab.artifacts import record
from prunelab.artifacts.disk import STORE_REMEDY, refusing_disk_errors, sync, sync_tree
from prunelab.artifacts.locks import locked
from prunelab.artifacts.sharing import open_up, shared
from prunelab.core.errors import Refusal


def default_root() -> Path:
    """``$PRUNELAB_STORE``, else ``~/.cache/prunelab``. Raises Refusal for a user without a home."""
    return _expanded(Path(os.environ.get("PRUNELAB_STORE") or "~/.cache/prunelab"))


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise Refusal("you have no home folder for the store: set store=FOLDER or PRUNELAB_STORE") from error


class Store:
    """Artifacts under one root folder.

    The way to fill it, safe against kills and other jobs::

        if not store.valid(address):
            with store.hold(address):
                if not store.valid(address):  # another job may have been faster
                    folder = store.partial(address) / "result"
                    ...  # compute, write into folder
                    store.commit(address, folder, inputs)

    What is valid needs no lock: it never changes, and it appeared by a rename. So a root that cannot be
    written serves what it holds. A full disk, or a root that has to be written and cannot, is a Refusal in
    every method and in ``hold``'s block.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = _expanded(Path(root)).absolute()

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
        path = self._place(".locks", f"{address}.lock")
        with shared(self.root), ExitStack() as stack:
            with refusing_disk_errors(self.root, f"it lacks {address}; {STORE_REMEDY}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(path, f"computes {address}"))
            with refusing_disk_errors(self.root):
                yield

    def partial(self, address: str) -> Path:
        """A scratch folder of this address that outlives kills, until ``commit`` or ``discard``."""
        folder = self._place(".partial", address)
        with refusing_disk_errors(self.root), shared(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def make_way(self, address: str) -> None:
        """Remove what lies in the artifact's place: it is not valid, and ``commit`` will need the place.

        Called before the work, so that what cannot be replaced is refused before it.
        """
        with refusing_disk_errors(self.root), shared(self.root):
            self._remove(self.path(address))

    def commit(self, address: str, folder: Path, inputs: Mapping[str, object]) -> None:
        """Make ``folder`` the artifact ``address``, replacing one that is there, and drop its partial.

        ``folder`` lies under ``partial(address)`` or is it; ``inputs`` (JSON values: stage, version,
        parents) are kept in the record. Until the final rename nothing valid is there to be read.
        """
        assert folder.absolute().is_relative_to(self.root), f"{folder} is not in the store {self.root}"
        with refusing_disk_errors(self.root), shared(self.root) as umask:
            record.write(folder, address, inputs)
            open_up(folder, umask)
            sync_tree(folder)
            self._remove(self.path(address))
            folder.rename(self.path(address))
            sync(self.root)
            self._remove(self._place(".partial", address))

    def discard(self, address: str) -> None:
        """Forget the artifact and its partial work, if there is any."""
        with refusing_disk_errors(self.root), shared(self.root):
            self._remove(self.path(address))
            self._remove(self._place(".partial", address))

    def _place(self, corner: str, name: str) -> Path:
        assert name == Path(name).name.lstrip("."), f"{name!r} is not an address"
        return self.root / corner / name

    def _remove(self, folder: Path) -> None:
        """Delete a folder so that a kill on the way leaves no half of it under its own name."""
        grave = self._place(".discarded", folder.name)
        _delete(grave)
        if os.path.lexists(folder):
            grave.parent.mkdir(parents=True, exist_ok=True)
            _rename(folder, grave)
            _delete(grave)


def _rename(folder: Path, grave: Path) -> None:
    """Rename; delete where the file system cannot move a folder (one of a container's image)."""
    try:
        folder.rename(grave)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _delete(folder)


def _delete(path: Path) -> None:
    """Delete what is there, if anything is: a folder with all it holds, of a link the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):  # a read-only disk refuses to delete even what is not there
        path.unlink()
