"""Opening a table with ``datasets``: by its name on the hub, or from local files."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from datasets import Audio, Dataset, Image, IterableDataset, load_dataset
from datasets.exceptions import DatasetsError

from prunelab.core.errors import Refusal
from prunelab.data.content import files

BUILDERS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".tar": "webdataset",
}
AnyTable: TypeAlias = Dataset | IterableDataset


def opened(path: str, builder: str | None, split: str, apart: bool, **options: Any) -> AnyTable:
    """A split as ``datasets`` opens it; refuses, in one line, what is not there.

    path: a name on the hub, a local folder or a local file. builder: how to read local files, such as
    "parquet"; guessed from their names where it is None. apart: there are other splits, so what a builder
    reads is the folder below ``path`` that has the split's name. options: of ``datasets.load_dataset``.
    """
    place = Path(path).expanduser()
    builder = builder or BUILDERS.get(place.suffix.lower())
    with readable(path, split):
        if builder is not None and place.exists():
            options.pop("revision")
            return load_dataset(
                builder, data_files={split: _files(place, builder, split, apart)}, split=split, **options
            )
        return load_dataset(str(place) if place.exists() else path, split=split, **options)


@contextmanager
def readable(path: str, split: str) -> Iterator[None]:
    """Refuse, in one line, what ``datasets`` cannot open or read to its end: streams fail late."""
    try:
        yield
    except Refusal:  # a ValueError, too
        raise
    except (OSError, EOFError, ValueError, RuntimeError, DatasetsError, tarfile.TarError) as error:
        reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
        raise Refusal(
            f"cannot open data.path={path}, split {split!r} ({reason}): give a local folder or file, or the "
            "name of a dataset on the hub; without a network, one downloaded before and HF_HUB_OFFLINE=1"
        ) from error


def _files(place: Path, builder: str, split: str, apart: bool) -> list[str]:
    """The files that a builder reads."""
    if place.is_file() and not apart:
        return [str(place)]
    folder = place / split if apart else place
    suffixes = frozenset(suffix for suffix, reader in BUILDERS.items() if reader == builder)
    found = files(folder, suffixes) if folder.is_dir() else []
    if not found:
        raise FileNotFoundError(f"no {' or '.join(sorted(suffixes))} files in {folder}")
    return [str(file) for file in found]


def column_names(table: AnyTable) -> list[str]:
    """The columns of a table; of a stream that does not say, those of its first row."""
    known = table.column_names
    return list(next(iter(table)) if known is None else known)


def undecoded(table: AnyTable, columns: dict[str, str]) -> AnyTable:
    """The table with some columns alone, under other names (source -> name); media stay files."""
    table = table.select_columns(list(columns))
    for name, feature in (table.features or {}).items():
        if isinstance(feature, Image | Audio):
            table = table.cast_column(name, type(feature)(decode=False))
    return table.rename_columns({old: new for old, new in columns.items() if old != new})


def gathered(stream: IterableDataset, rows: int, seed: int, buffer_size: int) -> Dataset:
    """The first rows of a stream, after it went through a shuffled buffer, in memory."""
    taken = list(stream.shuffle(seed=seed, buffer_size=buffer_size).take(rows))
    return Dataset.from_list(taken, features=stream.features)
