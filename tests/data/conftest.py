"""Small local files to read, and a place for what ``datasets`` writes."""

import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``datasets`` keeps its files during a test."""
    import datasets

    folder = tmp_path_factory.mktemp("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)  # after a stream, 5 s
    return folder


def png(seed: int, height: int = 9, width: int = 12) -> bytes:
    """A picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def wav(frames: NDArray[np.generic], width: int = 2, channels: int = 1) -> bytes:
    """A PCM file at 8 kHz; the frames' bytes are those of samples of this width."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(frames.tobytes())
    return buffer.getvalue()


@pytest.fixture
def captioned(tmp_path: Path) -> Callable[..., Path]:
    """``captioned(n)``: a folder with NUMBER.png beside NUMBER.txt."""

    def make(count: int, name: str = "pictures") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{i:03}.png").write_bytes(png(i))
            (folder / f"{i:03}.txt").write_text(f"picture {i}\n")
        return folder

    return make
