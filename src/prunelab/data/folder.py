"""Which files of a local folder make up a split, and what reads them: their names decide, nothing inside."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from datasets.data_files import (
    DEFAULT_PATTERNS_SPLIT_IN_DIR_NAME,
    DEFAULT_PATTERNS_SPLIT_IN_FILENAME,
    FILES_TO_IGNORE,
)
from fsspec.utils import glob_translate

PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"))
SOUNDS = frozenset((".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"))
READERS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".tar": "webdataset",
    **dict.fromkeys(sorted(PICTURES), "imagefolder"),
    ".zip": "imagefolder",
    ".txt": "text",
}
METADATA = frozenset(("metadata.csv", "metadata.jsonl", "metadata.parquet"))  # of pictures
SHARD = re.compile(r"data/(?P<split>\w+)-\d{5}-of-\d{5}[^/]*")  # as datasets are laid out on the hub


def chosen(
    place: Path, there: Iterable[Path], builder: str | None, split: str, apart: bool
) -> tuple[str, list[Path]]:
    """The reader and the files, in order, of a split at ``place``.

    there: all files below ``place``, or it alone. builder: the reader; of the most files where it is None.
    apart: there are other splits; with a ``builder`` they are folders below ``place`` of their names. Raises
    FileNotFoundError where there is nothing to read.
    """
    if place.is_file() and not apart:
        return builder or _reader([place.name]), [place]
    folder = place / split if apart and builder is not None else place
    names = {file.relative_to(folder).as_posix(): file for file in there if file.is_relative_to(folder)}
    names = {name: file for name, file in names.items() if not _special(name)}
    reader = builder or _reader(names)
    kinds = sorted(suffix for suffix, of in READERS.items() if of == reader)
    describing = METADATA if reader == "imagefolder" else ()
    found = [name for name in names if _suffix(name) in kinds or PurePosixPath(name).name in describing]
    if builder is None:
        found = _of_split(found, split)
    if not found:
        raise FileNotFoundError(f"no {' or '.join(kinds) or builder} files in {folder}")
    return reader, [names[name] for name in found]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _special(name: str) -> bool:
    """What ``datasets`` leaves out: folders such as ``__MACOSX``, and files about a dataset."""
    *folders, last = PurePosixPath(name).parts
    return last in FILES_TO_IGNORE or any(folder.startswith("__") for folder in folders)


def _reader(names: Iterable[str]) -> str:
    """What reads the most of these files; tables before pictures where there are as many, texts last."""
    known = [name for name in names if _suffix(name) in READERS]
    plain = [name for name in known if PurePosixPath(name).name not in METADATA]
    counts = Counter(READERS[_suffix(name)] for name in plain or known)
    if not counts:
        raise FileNotFoundError(f"no files that are read: {', '.join(READERS)}")
    order = list(dict.fromkeys(READERS.values()))
    return max(counts, key=lambda reader: (reader != "text", counts[reader], -order.index(reader)))


def _of_split(names: list[str], split: str) -> list[str]:
    """Those of a split, by the names of files or folders as ``datasets`` goes by them; all are "train"."""
    splits = _shards(names) or _matching(names, DEFAULT_PATTERNS_SPLIT_IN_DIR_NAME)
    splits = splits or _matching(names, DEFAULT_PATTERNS_SPLIT_IN_FILENAME) or {"train": names}
    if split not in splits:
        raise FileNotFoundError(f"there is no such split: {', '.join(splits)} by the names of the files")
    return splits[split]


def _shards(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        if match := SHARD.fullmatch(name):
            found.setdefault(match["split"], []).append(name)
    return found


def _matching(names: Iterable[str], patterns: Mapping[object, list[str]]) -> dict[str, list[str]]:
    compiled = {
        str(split): re.compile("|".join(glob_translate(each) for each in some))
        for split, some in patterns.items()
    }
    found = {split: [name for name in names if each.match(name)] for split, each in compiled.items()}
    return {split: matched for split, matched in found.items() if matched}
