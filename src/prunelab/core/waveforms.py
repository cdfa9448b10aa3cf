"""Sounds as numbers: 16-bit samples in memory and files, floating point inside models."""

import io
import wave

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FULL_SCALE = 32768  # the magnitude of an int16 sample that stands for 1


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

    Raises wave.Error or EOFError for bytes that are none.
    """
    with wave.open(io.BytesIO(content), "rb") as file:
        if file.getsampwidth() != 2:
            raise wave.Error(f"samples of {8 * file.getsampwidth()} bits, not 16")
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return samples.reshape(-1, file.getnchannels()).T.astype(np.int16), file.getframerate()
