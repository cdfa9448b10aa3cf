"""Tar archives in webdataset's format: pictures, sounds, texts and class numbers, and nothing else."""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from datasets.packaged_modules.webdataset.webdataset import WebDataset

from prunelab.data.content import MOST_BYTES
from prunelab.data.folder import PICTURES, SOUNDS

TEXTS = frozenset((".txt", ".text", ".transcript", ".json", ".cls", ".cls2", ".index", ".inx", ".id"))
READ = PICTURES | SOUNDS | TEXTS


class Shards(WebDataset):
    """Opens no other members, such as arrays, checkpoints, compressed or pickled ones."""

    @classmethod
    def _get_pipeline_from_tar(cls, tar_path: Any, tar_iterator: Iterable[tuple[str, Any]]) -> Iterator[Any]:
        wanted = (pair for pair in tar_iterator if PurePosixPath(pair[0]).suffix.lower() in READ)
        yield from super()._get_pipeline_from_tar(tar_path, wanted)


def check_archive(file: Path) -> None:
    """Raise ValueError or tarfile.TarError for compressed archives, and for members larger than any medium.

    Both can be small files that fill the memory.
    """
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            if member.size > MOST_BYTES:
                raise ValueError(
                    f"{member.name} in {file.name} has {member.size} bytes, more than {MOST_BYTES}"
                )
