"""The disk under a folder: made to keep what was written, and its troubles said in one line."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from prunelab.core.errors import Refusal

STORE_REMEDY = "set store=FOLDER or PRUNELAB_STORE to a folder that can"
AGAIN = "free space and run the same command again"
CLOSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV, errno.ETXTBSY, errno.EBUSY, errno.ENXIO, errno.EINVAL),
}
FAILING = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EREMOTEIO, errno.ENOMEDIUM}
# Mounts that answer flock without telling the file system's other machines.
LOCAL_LOCKS = ("nfs", "lustre")
LOCAL_LOCK_OPTIONS = {"nolock", "local_lock=all", "local_lock=flock", "localflock"}
# What file systems that cannot flush a folder's list of names answer; they keep it by themselves.
NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
# safetensors and torch.save hide the errno; the second text is what torch.save says of a short write.
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "] . unexpected pos ")
SHARED_WORDS = "</torch_"  # how torch names what it could not write to the shared memory
SHARED_MEMORY, TEMPORARY = Path("/dev/shm"), Path("/tmp")  # noqa: S108  to be named, not written to
NEARLY = 2**20  # bytes: with less than these a disk counts as the full one


@contextmanager
def refusing_disk_errors(folder: Path, remedy: str = STORE_REMEDY) -> Iterator[None]:
    """Turn a full or failing disk, and a file under ``folder`` that may not be written, into a Refusal.

    ``remedy`` says how to choose another folder. The innermost context around a writer speaks, so each
    writer gets one for its own folder. Other errors pass: a file elsewhere that cannot be opened is not
    this folder's to explain.
    """
    try:
        yield
    except OSError as error:
        line = _explained(error, folder, remedy)
        if line is None:
            raise
        raise Refusal(line) from error
    except (RuntimeError, SafetensorError) as error:
        if any(words in str(error) for words in FULL_WORDS):
            raise Refusal(_full(_hidden(error, folder))) from error
        raise


def sync(path: Path) -> None:
    """Return once the file's bytes, or the folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (stat.S_ISDIR(os.fstat(descriptor).st_mode) and error.errno in NO_FOLDER_SYNC):
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """``sync`` for every file and folder under ``folder``, and the folder itself."""
    for path in [*folder.rglob("*"), folder]:
        if stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR):  # opening a pipe would wait
            sync(path)


def mount(folder: Path) -> str:
    """The file system that holds ``folder``, there or not: ``nfs4 at /home``, or where it is mounted."""
    point = _point(folder)
    return f"{found[0]} at {point}" if (found := _mounts().get(point)) else str(point)


def local_locks(folder: Path) -> bool:
    """Whether locks in ``folder`` are real on this machine alone, as its mount says: no other sees them."""
    kind, options = _mounts().get(_point(folder), ("", []))
    return kind.startswith(LOCAL_LOCKS) and bool({*options} & LOCAL_LOCK_OPTIONS)


def _point(folder: Path) -> Path:
    return next((path for path in (folder, *folder.parents) if os.path.ismount(path)), Path("/"))


def _mounts() -> dict[Path, tuple[str, list[str]]]:
    """Mount point -> kind and options of its file system; empty where the system keeps no list."""
    try:
        lines = Path("/proc/self/mounts").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return {}
    words = [line.split(" ") for line in lines]
    # Spaces and the like are written as octal numbers.
    named = [(re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), w[1]), w) for w in words if len(w) > 3]
    return {Path(name): (w[2], w[3].split(",")) for name, w in named}


def _explained(error: OSError, folder: Path, remedy: str) -> str | None:
    """The line for an error that a disk is behind, None for any other."""
    place, reason = _place(error, folder), (error.strerror or "not allowed").lower()
    if error.errno == errno.ENOSPC:
        return _full(_hidden(error, folder) if _target(error) is None else place)
    if error.errno == errno.EDQUOT:
        return f"your quota on the disk of {place} ({mount(place)}) is used up: {AGAIN}"
    if error.errno == errno.EFBIG:
        return f"a file in {place} outgrew what its disk or ulimit -f allows ({reason}): {remedy}"
    if error.errno in CLOSED and _within(error.filename, folder):
        return f"{folder} cannot be written ({error.filename}: {reason}): {remedy}"
    if error.errno in FAILING:
        return (
            f"the disk of {place} ({mount(place)}) failed ({reason}): run the same command again, or {remedy}"
        )
    return None


def _target(error: OSError) -> Path | None:
    """The file that was written: of two names the second, to which the first was copied."""
    name = error.filename2 or error.filename
    return Path(os.fsdecode(name)).absolute() if isinstance(name, str | bytes | os.PathLike) else None


def _place(error: OSError, folder: Path) -> Path:
    """The folder to name: the given one, unless the error itself names a file elsewhere."""
    target = _target(error)
    return folder if target is None or _within(target, folder) else target.parent


def _hidden(error: Exception, folder: Path) -> Path:
    """Where something was full that names no file: ``folder``, unless that has room and another has none."""
    if SHARED_WORDS in str(error):
        return SHARED_MEMORY
    others = (Path.cwd(), Path(os.environ.get("TMPDIR") or TEMPORARY), SHARED_MEMORY)
    return next((place for place in (folder, *others) if _nearly_full(place)), folder)


def _within(filename: object, folder: Path) -> bool:
    """Whether an error's file lies in ``folder``, or is a parent that ``folder`` needs."""
    if not isinstance(filename, str | Path):
        return False
    path = Path(filename).absolute()
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def _full(folder: Path) -> str:
    room = _room(folder)
    free = f"{room.f_bavail * room.f_frsize / 1e6:.1f} MB free on {mount(folder)}"
    if _no_inodes(room):
        return f"the disk of {folder} is full: it takes no more files, however small ({free}): {AGAIN}"
    return f"the disk of {folder} is full ({free}): {AGAIN}"


def _nearly_full(folder: Path) -> bool:
    room = _room(folder)
    return room.f_bavail * room.f_frsize < NEARLY or _no_inodes(room)


def _no_inodes(room: os.statvfs_result) -> bool:
    return room.f_files > 0 and room.f_favail == 0


def _room(folder: Path) -> os.statvfs_result:
    return os.statvfs(next(path for path in (folder, *folder.parents) if path.is_dir()))
