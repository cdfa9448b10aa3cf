"""The disk under the store: made to keep what was written, and its troubles said in one line."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from prunelab.core.errors import Refusal

FULL = {errno.ENOSPC, errno.EDQUOT}
STORE_REMEDY = "set store=FOLDER or PRUNELAB_STORE to a folder that can"
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
# safetensors and torch.save hide the errno; the second text is what torch.save says of a short write.
FULL_WORDS = ("No space left on device", "] . unexpected pos ")


@contextmanager
def refusing_disk_errors(folder: Path, remedy: str = STORE_REMEDY) -> Iterator[None]:
    """Turn a full disk, and a file under ``folder`` that may not be written, into a Refusal.

    ``remedy`` says how to choose another folder. Other errors pass: a file elsewhere that cannot be
    opened is not this folder's to explain.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise Refusal(_full(_place(error, folder))) from error
        if error.errno in CLOSED and _within(error.filename, folder):
            raise Refusal(_closed(error, folder, remedy)) from error
        raise
    except (RuntimeError, SafetensorError) as error:
        if any(words in str(error) for words in FULL_WORDS):
            raise Refusal(_full(folder)) from error
        raise


def sync(path: Path) -> None:
    """Return once the file's bytes, or the folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """``sync`` for everything under ``folder`` and the folder itself."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def _place(error: OSError, folder: Path) -> Path:
    """The folder to name: the store's, unless the error itself names a file elsewhere."""
    elsewhere = error.filename is not None and not _within(error.filename, folder)
    return Path(error.filename).parent if elsewhere else folder


def _within(filename: object, folder: Path) -> bool:
    """Whether an error's file lies in ``folder``, or is a parent that ``folder`` needs."""
    if not isinstance(filename, str | Path):
        return False
    path = Path(filename).absolute()
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def _full(folder: Path) -> str:
    return f"the disk of {folder} is full ({_free(folder)} free): free space and run the same command again"


def _closed(error: OSError, folder: Path, remedy: str) -> str:
    reason = (error.strerror or "not allowed").lower()
    return f"{folder} cannot be written ({error.filename}: {reason}): {remedy}"


def _free(folder: Path) -> str:
    nearest = next(path for path in (folder, *folder.parents) if path.is_dir())
    return f"{shutil.disk_usage(nearest).free / 1e6:.1f} MB"
