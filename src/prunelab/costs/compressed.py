"""How many bytes a saved model takes when it is compressed without loss."""

import zlib
from pathlib import Path

from prunelab.costs.saved_size import weight_files

LEVEL = 6
PIECE = 1 << 20  # bytes read at once


def compressed_bytes(folder: Path) -> int:
    """Bytes of the safetensors files in ``folder`` and below, each through DEFLATE at level 6 (as gzip does).

    Zeroed weights keep their bytes on disk and lose them here. Refuses a folder without such files.
    """
    return sum(_deflated(file) for file in weight_files(folder))


def _deflated(file: Path) -> int:
    squeeze = zlib.compressobj(LEVEL)
    size = 0
    with file.open("rb") as source:
        while piece := source.read(PIECE):
            size += len(squeeze.compress(piece))
    return size + len(squeeze.flush())
