"""Opening a table with ``datasets``: by its name on the hub, or from local files."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import datasets
from datasets import Audio, Dataset, DatasetBuilder, Image, IterableDataset, load_dataset
from datasets.data_files import DataFilesDict, DataFilesList
from datasets.exceptions import DatasetsError
from datasets.features.features import require_decoding
from datasets.load import import_main_class
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

from prunelab.core.errors import Refusal
from prunelab.data.shards import Shards, check_archive

AnyTable: TypeAlias = Dataset | IterableDataset
# What ``datasets`` and its readers raise for files that are not what they should be.
UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError, ImportError, AssertionError),
    *(DatasetsError, tarfile.TarError, zipfile.BadZipFile, zlib.error),
)


def opened(path: str, split: str, streaming: bool, cache: str | None, **options: Any) -> AnyTable:
    """A split of a dataset on the hub as ``datasets`` opens it; refuses, in one line, what is not there.

    options: of ``datasets.load_dataset``.
    """
    if path in _PACKAGED_DATASETS_MODULES:
        raise Refusal(
            f"data.path={path} is the name of a reader, not of a dataset on the hub, and no local folder or "
            f"file: data.path=FOLDER data.builder={path} reads one"
        )
    with readable(path, split):
        return load_dataset(path, split=split, streaming=streaming, cache_dir=cache, **options)


def opened_files(
    path: str, split: str, reader: str, files: Mapping[Path, str], streaming: bool, cache: str | None
) -> AnyTable:
    """A split of local files; refuses, in one line, what cannot be read.

    files: file -> sha256, which tells ``datasets`` whether it has read the same before. No others are read,
    and no settings that lie among them: a dataset card would name other files, also of other machines.
    """
    hashes = [(content,) for content in files.values()]
    listed = DataFilesList([str(file.absolute()) for file in files], hashes)
    with readable(path, split):
        made = _builder(reader, DataFilesDict({split: listed}), cache)
        if streaming:
            return made.as_streaming_dataset(split=split)
        made.download_and_prepare()
        return made.as_dataset(split=split)


def _builder(reader: str, files: DataFilesDict, cache: str | None) -> DatasetBuilder:
    # Not load_dataset, which tells a server that a reader is used.
    kind = import_main_class(_PACKAGED_DATASETS_MODULES[reader][0])
    if reader == "webdataset":
        kind = Shards
        for file in (file for listed in files.values() for file in listed):
            check_archive(Path(file))
    return kind(cache_dir=cache, dataset_name=reader, data_files=files, hash=datasets.__version__)


@contextmanager
def readable(path: str, split: str) -> Iterator[None]:
    """Refuse, in one line, what ``datasets`` cannot open or read to its end: streams fail late."""
    try:
        yield
    except Refusal:  # a ValueError, too
        raise
    except UNREADABLE as error:
        reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
        raise Refusal(
            f"cannot open data.path={path}, split {split!r} ({reason}): give a local folder or file, or the "
            "name of a dataset on the hub; without a network, one downloaded before and HF_HUB_OFFLINE=1"
        ) from error


def column_names(table: AnyTable) -> list[str]:
    """The columns of a table; of a stream that does not say, those of its first row."""
    known = table.column_names
    return list(next(iter(table), {}) if known is None else known)


def undecoded(table: AnyTable, columns: dict[str, str]) -> AnyTable:
    """The table with some columns alone, under other names (source -> name); media stay files."""
    table = table.select_columns(list(columns))
    for name, feature in (table.features or {}).items():
        if isinstance(feature, Image | Audio):
            table = table.cast_column(name, type(feature)(decode=False))
        elif require_decoding(feature):  # would reach readers of media that nobody limits
            raise Refusal(
                f"the column {name!r} of the data holds {feature}, which is not read: choose another"
            )
    return table.rename_columns({old: new for old, new in columns.items() if old != new})


def gathered(stream: IterableDataset, rows: int, seed: int, buffer_size: int) -> Dataset:
    """The first rows of a stream, after it went through a shuffled buffer, in memory."""
    taken = list(stream.shuffle(seed=seed, buffer_size=buffer_size).take(rows))
    return Dataset.from_list(taken, features=stream.features)
