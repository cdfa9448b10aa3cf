"""Pictures of samples: strips on the disk beside the report, and inline in its page."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prunelab.core.errors import Refusal
from prunelab.core.images import opened_image
from prunelab.core.previews import Picture

FOLDER = "pictures"
LONGEST = 100  # characters of a file's name after its number; a label may be longer
WIDEST = 256  # pixels of one picture in the page; the strips keep every pixel


def write_strips(folder: Path, pictures: Sequence[Picture]) -> list[dict[str, object]]:
    """Write every picture as one PNG in ``folder/pictures``; their entries for ``report.json``."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    for number, picture in enumerate(pictures):
        words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{picture.state} {picture.label}")[:LONGEST].strip("-.")
        name = f"{FOLDER}/{number:02d}-{words}.png"
        _image(np.concatenate(list(picture.images), axis=1)).save(folder / name)
        captions = list(picture.captions)
        entries.append({"state": picture.state, "label": picture.label, "file": name, "captions": captions})
    return entries


def read_strips(folder: Path, entries: Sequence[Mapping[str, object]]) -> list[Picture]:
    """The pictures that ``write_strips`` wrote into ``folder``; Refusal when one is missing or broken."""
    return [_read_strip(folder, entry) for entry in entries]


def inline(image: NDArray[np.uint8]) -> str:
    """One image, shape (height, width, channels), as a ``data:`` URI of a PNG."""
    picture = _image(image)
    picture.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    picture.save(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _read_strip(folder: Path, entry: Mapping[str, object]) -> Picture:
    path, captions = folder / str(entry["file"]), entry["captions"]
    assert isinstance(captions, list)
    try:
        images = np.stack(np.split(_pixels(path), len(captions), axis=1))
    except (OSError, ValueError) as error:
        raise Refusal(f"{path} cannot be read as a picture: run the job again to write it anew") from error
    return Picture(str(entry["state"]), str(entry["label"]), images, captions)


def _pixels(path: Path) -> NDArray[np.uint8]:
    """The pixels of an image file, (height, width, 3)."""
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(path)
    with opened_image(path) as strip:
        return np.asarray(strip.convert("RGB"))


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
