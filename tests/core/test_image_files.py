"""Pictures made by others: the formats that are meant, of a size that fits, or one plain error."""

import contextlib
import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prunelab.core import image_files as images
from prunelab.core.image_files import FORMATS, MOST_PIXELS, opened_image

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def saved(kind: str, **settings: Any) -> bytes:
    Image.fromarray(PIXELS).save(buffer := io.BytesIO(), kind, **settings)
    return buffer.getvalue()


def declared(width: int, height: int) -> bytes:
    """A PNG whose header alone is there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IDAT"


@pytest.mark.parametrize("kind", FORMATS)
def test_the_formats_that_are_meant(kind: str, tmp_path: Path) -> None:
    exact = {"lossless": True} if kind == "WEBP" else {}
    (tmp_path / "picture").write_bytes(saved(kind, **exact))
    with opened_image(tmp_path / "picture") as image:
        assert image.size == (20, 24)
        if kind not in ("JPEG", "GIF"):
            assert np.array_equal(np.asarray(image.convert("RGB")), PIXELS)


@pytest.mark.parametrize("kind", ["EPS", "PPM", "TGA", "ICO", "PCX"])
def test_other_formats_do_not_reach_their_readers(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()

    def reached(*_: Any) -> None:
        raise AssertionError(kind)

    monkeypatch.setitem(Image.OPEN, kind, (reached, None))
    contents = POSTSCRIPT
    if kind != "EPS":
        Image.fromarray(PIXELS).save(buffer := io.BytesIO(), kind)
        contents = buffer.getvalue()
    with pytest.raises(ValueError, match="not a picture in one of the formats PNG, JPEG"):
        opened(contents)


@pytest.mark.parametrize("size", [(9460, 9460), (2**31 - 1, 1), (65535, 65535), (MOST_PIXELS + 1, 1)])
def test_too_many_pixels_are_refused_before_they_are_read(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="pixels"):
        opened(declared(*size))


def test_every_cut_is_an_error() -> None:
    for kind in FORMATS:
        whole = saved(kind)
        for length in (0, 7, 30, len(whole) // 2):
            with pytest.raises((OSError, ValueError)):
                opened(whole[:length])


@pytest.mark.filterwarnings("error")
def test_damage_raises_what_callers_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says nothing else: Pillow warns of what it leaves out of broken tags."""
    monkeypatch.setattr(images, "MOST_PIXELS", 10**5)
    draw = random.Random(0)
    for kind in FORMATS:
        exif = Image.Exif()
        exif[270] = "a description"
        whole = saved(kind, **({"exif": exif} if kind not in ("BMP", "GIF") else {}))
        for _ in range(100):
            damaged = bytearray(whole)
            for _ in range(draw.choice([1, 2, 8])):
                damaged[draw.randrange(draw.choice([40, 120, len(whole)]))] = draw.randrange(256)
            with contextlib.suppress(OSError, ValueError):
                opened(bytes(damaged))


@pytest.mark.parametrize("error", [struct.error, SyntaxError, KeyError, ZeroDivisionError, TypeError])
def test_what_a_reader_lets_through_is_one_kind_of_error(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> None:
        raise error("reason")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    with pytest.raises(ValueError, match=r"a broken picture \(.*reason"):
        opened(saved("PNG"))


def opened(content: bytes) -> None:
    with opened_image(io.BytesIO(content)) as image:
        image.convert("RGB")
