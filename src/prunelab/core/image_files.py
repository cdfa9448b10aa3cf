"""Pictures as files: written as PNG; opened, whoever made them, of a few formats up to a size."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # none of which Pillow hands to another program
MOST_PIXELS = 89_478_485  # width x height; Pillow's own limit, at which it warns and goes on
# What Pillow's readers let through, apart from OSError and ValueError, when a header does not say the truth.
BROKEN = (SyntaxError, EOFError, LookupError, ArithmeticError, TypeError, struct.error)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG file of pixels (height, width, channels) with 1 or 3 channels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, format="png")
    return buffer.getvalue()


@contextmanager
def opened_image(file: Path | IO[bytes]) -> Iterator[Image.Image]:
    """A picture of one of ``FORMATS``, whatever its name says, with its pixels loaded; of several the first.

    Raises OSError or ValueError for anything else, for what is broken or cut off, and, before the pixels
    are read, for more than ``MOST_PIXELS`` of them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, for which the limit is stricter, and of odd tags
            with Image.open(file, "r", FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise ValueError(f"{image.width} x {image.height} pixels, more than {MOST_PIXELS} in all")
                image.load()
                yield image
    except UnidentifiedImageError:
        raise ValueError(f"not a picture in one of the formats {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    except BROKEN as error:
        raise ValueError(f"a broken picture ({error})") from error
