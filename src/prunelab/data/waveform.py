"""The samples of an audio file."""

import io
import wave
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from prunelab.core.errors import Refusal

FULL_SCALE = 32768  # the int16 value of amplitude 1
WIDTHS = {1: "u1", 2: "<i2", 4: "<i4"}  # bytes per sample of PCM -> how numpy reads them; 8 bits are unsigned


def waveform(content: bytes, rate: int, samples: int) -> NDArray[np.int16]:
    """The beginning of a file as int16 (1, samples): one channel, at ``rate`` Hz, silent after its end.

    Channels are averaged. The rate is changed by a polyphase filter (SciPy's ``resample_poly``). PCM WAV is
    read by the standard library, other formats by soundfile where it is installed. Raises ValueError for
    what is no audio.
    """
    amplitudes, before = _decoded(content)
    mono = amplitudes.mean(axis=1)
    if before != rate:
        common = gcd(before, rate)
        mono = resample_poly(mono, rate // common, before // common)
    whole = np.zeros(samples)
    whole[: min(samples, len(mono))] = mono[:samples]
    return (whole * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)[None]


def _decoded(content: bytes) -> tuple[NDArray[np.float64], int]:
    """Amplitudes in [-1, 1] of shape (samples, channels), and the rate in Hz."""
    if content[:4] != b"RIFF":
        return _by_soundfile(content)
    try:
        with wave.open(io.BytesIO(content), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except EOFError as error:
        raise ValueError("the file is truncated") from error
    except wave.Error as error:
        if "unknown format" in str(error):  # floating point or compressed
            return _by_soundfile(content)
        raise ValueError(str(error)) from error
    if not frames or len(frames) % (width * channels):
        raise ValueError("the file is truncated" if frames else "the file holds no samples")
    return _amplitudes(frames, width).reshape(-1, channels), rate


def _amplitudes(frames: bytes, width: int) -> NDArray[np.float64]:
    if width == 3:  # numpy has no 24-bit numbers: they become the upper bytes of 32-bit ones
        padded = np.zeros((len(frames) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(frames, dtype=np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0] / 2.0**31
    values = np.frombuffer(frames, dtype=WIDTHS[width]).astype(np.float64)
    return (values - 128) / 128 if width == 1 else values / 2.0 ** (8 * width - 1)


def _by_soundfile(content: bytes) -> tuple[NDArray[np.float64], int]:
    try:
        import soundfile
    except ImportError:
        raise Refusal(
            "the data holds other audio files than PCM WAV: pip install prunelab[audio] brings what reads "
            "FLAC, OGG, MP3 and floating-point WAV"
        ) from None
    try:
        amplitudes, rate = soundfile.read(io.BytesIO(content), dtype="float64", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(str(error)) from error
    return amplitudes, int(rate)
