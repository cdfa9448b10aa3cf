"""What a folder holds: every file below it, through links, and the hash of its bytes."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prunelab.core.errors import Refusal
from prunelab.core.remembered import hashed

Inode = tuple[int, int]
MOST_VISITS = 64  # of one folder through different links; links that fork at every level would take for ever


def files(place: Path, hidden: bool = True) -> list[Path]:
    """The files below a folder, or the file itself, sorted by name; none where nothing is.

    Links are followed, to files and to folders, also out of the folder: what a program reads through a link
    is part of what it reads. What is neither a file nor a folder (a pipe, a device) is left out, and so are,
    unless they are asked for, ``hidden`` names. Refuses links in a circle and links that lead nowhere.
    """
    return [place] if place.is_file() else sorted(_below(place, hidden, (), Counter()))


def pipeline(path: str | Path) -> Path:
    """The folder of a diffusers pipeline; refuses what is none. Reads nothing of it."""
    folder = Path(path).expanduser()
    if not (folder / "model_index.json").is_file():
        raise Refusal(f"no diffusers model at {folder}: path=FOLDER needs a folder with a model_index.json")
    return folder


def sha256(file: Path) -> str:
    """The hexadecimal sha256 of a file's bytes; those of large files may be ``remembered``."""
    return hashed(file, _read)


def state(place: str | Path) -> list[list[str | int]]:
    """Name, size and time of the last change of every file below a folder, or of the file itself.

    Empty where nothing is. It is another whenever the bytes are, unless somebody sets a time back; unlike a
    hash it takes no reading, of gigabytes or of many files.
    """
    top = Path(place).expanduser()
    looked = [(file.relative_to(top).as_posix(), file.stat()) for file in files(top)]
    return [[name, status.st_size, status.st_mtime_ns] for name, status in looked]


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _below(folder: Path, hidden: bool, above: tuple[Inode, ...], visits: Counter[Inode]) -> Iterator[Path]:
    if not folder.is_dir():
        return
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    visits[here] += 1
    if here in above or visits[here] > MOST_VISITS:
        raise Refusal(f"links below {folder} lead back to it without an end: remove the one that does")
    for path in folder.iterdir():
        if not hidden and path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _below(path, hidden, (*above, here), visits)
        elif path.is_file():
            yield path
        elif path.is_symlink() and not path.exists():
            raise Refusal(f"{path} is a link that leads nowhere: mend it, or remove it")
