"""Sounds as numbers: 16-bit samples in memory and files, floating point inside models."""

import io
import struct
import wave
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FULL_SCALE = 32768  # the magnitude of an int16 sample that stands for 1
RATES = range(1000, 384001)  # Hz; a header with another one does not say the truth
MOST_CHANNELS = 64
WIDTHS = range(1, 5)  # bytes per sample


def scaled(waveforms: Tensor) -> Tensor:
    """int16 samples as float32 in [-1, 1)."""
    return waveforms.float() / FULL_SCALE


def quantised(waveforms: Tensor) -> Tensor:
    """Samples in [-1, 1] as int16; what is louder is clipped."""
    return (waveforms * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1).to(torch.int16)


def to_wav(waveform: NDArray[np.int16], rate: int) -> bytes:
    """The bytes of a WAV file of int16 samples (channels, samples) at ``rate`` Hz."""
    assert waveform.dtype == np.int16, f"WAV files are written of int16, not {waveform.dtype}"
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(waveform.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(waveform.T.astype("<i2").tobytes())
    return buffer.getvalue()


def from_wav(content: bytes) -> tuple[NDArray[np.int16], int]:
    """int16 samples (channels, samples) and the rate in Hz of a 16-bit WAV file.

    Raises wave.Error or EOFError for bytes that are none, see :func:`opened_wav`.
    """
    with opened_wav(content) as file:
        if file.getsampwidth() != 2:
            raise wave.Error(f"samples of {8 * file.getsampwidth()} bits, not 16")
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return samples.reshape(-1, file.getnchannels()).T.astype(np.int16), file.getframerate()


@contextmanager
def opened_wav(content: bytes) -> Iterator[wave.Wave_read]:
    """A PCM WAV file whose header can be believed, for reading.

    Raises EOFError for a file that ends before its samples do, and wave.Error for one without samples, for
    other numbers of bits, channels or samples per second than sounds have, and for what is no PCM WAV.
    """
    check_complete(content)
    with wave.open(io.BytesIO(content), "rb") as file:
        check_rate(file.getframerate(), file.getnchannels())
        if file.getsampwidth() not in WIDTHS:
            raise wave.Error(f"samples of {8 * file.getsampwidth()} bits: 8, 16, 24 and 32 are read")
        if not file.getnframes():
            raise wave.Error("the file holds no samples")
        yield file


def check_rate(rate: int, channels: int) -> None:
    """Raise wave.Error for what no sound has; resampling from such a rate would take all the memory."""
    if rate not in RATES:
        raise wave.Error(f"{rate} Hz, not between {RATES[0]} and {RATES[-1]}")
    if not 1 <= channels <= MOST_CHANNELS:
        raise wave.Error(f"{channels} channels, not between 1 and {MOST_CHANNELS}")


def check_complete(content: bytes) -> None:
    """Raise EOFError where the samples of a WAV file of any kind are said to go on after its end."""
    start = 12  # after RIFF, a size and WAVE
    while start + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, start)
        if name == b"data":
            if size > len(content) - start - 8:
                raise EOFError(
                    f"the file is truncated: {size} bytes are announced, {len(content) - start - 8} there"
                )
            return
        start += 8 + size + size % 2
    raise EOFError("the file is truncated before its samples")
