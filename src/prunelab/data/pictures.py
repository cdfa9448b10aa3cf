"""Pictures of one's own, with or without captions, at a model's resolution."""

import io
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from PIL import Image, ImageOps

from prunelab.core.image_files import opened_image
from prunelab.core.settings import Count, Text, settings
from prunelab.data.content import file_bytes
from prunelab.data.folder import PICTURES
from prunelab.data.rows import Decode
from prunelab.data.table import LONGEST, Table, described

MODES = {1: "L", 3: "RGB"}


@settings(kw_only=True)
class Pictures(Table):
    """Columns ``image`` (uint8, channels x size x size), ``caption`` where there is one, and the labels.

    size: pixels along either side, of the largest square in the middle. channels: 3 for colour, 1 for grey.
    image_column, caption_column: their names in the table; without captions, None. labels: name of a label
    -> the column with its class numbers. A folder may also hold ``NAME.txt`` beside ``NAME.png``: captions.
    """

    size: Count = 64
    channels: Literal[1, 3] = 3
    image_column: Text = "image"
    caption_column: Text | None = "text"
    labels: Mapping[str, str] = field(default_factory=dict)

    def columns(self) -> Mapping[str, tuple[str, Decode]]:
        """See :class:`Table`."""
        return {
            "image": (self.image_column, self._image),
            **described(self.caption_column, self.labels),
        }

    def listed(self, place: Path) -> Dataset | None:
        """Pictures with texts beside them."""
        found = self.files(place, PICTURES) if self.builder is None and place.is_dir() else []
        texts = [file.with_suffix(".txt") for file in found]
        if not any(text.is_file() for text in texts):
            return None
        columns: dict[str, list[Any]] = {}
        columns[self.image_column] = [file.relative_to(self._place).as_posix() for file in found]
        if self.caption_column is not None:
            columns[self.caption_column] = [_text(text) for text in texts]
        return Dataset.from_dict(columns)

    def _image(self, value: Any) -> NDArray[np.uint8]:
        return picture(file_bytes(value, self._local), self.size, self.channels)


def _text(file: Path) -> str | None:
    """What a file says, at most one character more than a caption may have.

    None where there is no file, or no UTF-8 in it, so that its row counts as a bad one.
    """
    if not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(LONGEST + 1)
    except UnicodeDecodeError:
        return None


def picture(content: bytes, size: int, channels: int) -> NDArray[np.uint8]:
    """An image file as uint8 (channels, size, size).

    Its middle square, turned as its EXIF data say, resized bicubically with antialiasing; transparency is
    dropped. Raises OSError or ValueError for what `prunelab.core.image_files.opened_image` does not open.
    """
    with opened_image(io.BytesIO(content)) as opened:
        whole = ImageOps.exif_transpose(opened).convert(MODES[channels])
    side = min(whole.size)
    left, top = (whole.width - side) // 2, (whole.height - side) // 2
    square = whole.crop((left, top, left + side, top + side))
    small = square if side == size else square.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(small).reshape(size, size, channels).transpose(2, 0, 1)
