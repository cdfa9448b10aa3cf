"""The samples of an audio file."""

import io
import wave
from math import gcd

import numpy as np
from numpy.typing import NDArray

from prunelab.core.errors import Refusal
from prunelab.core.waveforms import FULL_SCALE, check_rate, opened_wav

WIDTHS = {1: "u1", 2: "<i2", 4: "<i4"}  # bytes per sample of PCM -> how numpy reads them; 8 bits are unsigned
# How the other files begin, and what soundfile calls them: of what it reads, the formats that are meant.
BEGINNINGS = (b"RIFF", b"fLaC", b"OggS", b"FORM", b"ID3")
FORMATS = frozenset(("WAV", "WAVEX", "FLAC", "OGG", "AIFF", "MP3", "MPEG"))
TAPS = 10  # of resample_poly's filter to either side, in samples of the lower rate


def waveform(content: bytes, rate: int, samples: int) -> NDArray[np.int16]:
    """The beginning of a file as int16 (1, samples): one channel, at ``rate`` Hz, silent after its end.

    Channels are averaged. The rate is changed by a polyphase filter (SciPy's ``resample_poly``). PCM WAV is
    read by the standard library, FLAC, OGG, MP3, AIFF and other WAV by soundfile where it is installed. No
    more is decoded than is needed. Raises ValueError for what is no audio, is broken or cut off, and for
    headers that do not say the truth, see :func:`prunelab.core.waveforms.opened_wav`.
    """
    try:
        amplitudes, before = _decoded(content, rate, samples)
    except EOFError as error:
        raise ValueError(str(error) or "the file is truncated") from error
    except wave.Error as error:
        raise ValueError(str(error)) from error
    mono = amplitudes.mean(axis=1)
    if before != rate:
        from scipy.signal import resample_poly  # takes seconds

        common = gcd(before, rate)
        mono = resample_poly(mono, rate // common, before // common)
    whole = np.zeros(samples)
    whole[: min(samples, len(mono))] = mono[:samples]
    return (whole * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)[None]


def needed(before: int, rate: int, samples: int) -> int:
    """How many samples at ``before`` Hz decide about the first ``samples`` of them at ``rate`` Hz."""
    return (samples * before + TAPS * max(before, rate)) // rate + 2


def _decoded(content: bytes, rate: int, samples: int) -> tuple[NDArray[np.float64], int]:
    """Amplitudes in [-1, 1] of shape (samples, channels), and the rate in Hz."""
    if content[:4] != b"RIFF":
        return _by_soundfile(content, rate, samples)
    try:
        with opened_wav(content) as file:
            width, channels, before = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(needed(before, rate, samples))
    except wave.Error as error:
        if "unknown format" in str(error):  # floating point or compressed
            return _by_soundfile(content, rate, samples)
        raise
    return _amplitudes(frames, width).reshape(-1, channels), before


def _amplitudes(frames: bytes, width: int) -> NDArray[np.float64]:
    if width == 3:  # numpy has no 24-bit numbers: they become the upper bytes of 32-bit ones
        padded = np.zeros((len(frames) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(frames, dtype=np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0] / 2.0**31
    values = np.frombuffer(frames, dtype=WIDTHS[width]).astype(np.float64)
    return (values - 128) / 128 if width == 1 else values / 2.0 ** (8 * width - 1)


def _by_soundfile(content: bytes, rate: int, samples: int) -> tuple[NDArray[np.float64], int]:
    if not content.startswith(BEGINNINGS) and not (content[:1] == b"\xff" and content[1:2] >= b"\xe0"):
        raise ValueError(
            "not a sound in one of the formats WAV, FLAC, OGG, MP3, AIFF" if content else "empty"
        )
    if content[:4] == b"FORM" and int.from_bytes(content[4:8]) > len(content) - 8:
        raise EOFError("the file is truncated")
    try:
        import soundfile
    except ImportError:
        raise Refusal(
            "the data holds other audio files than PCM WAV: pip install prunelab[audio] brings what reads "
            "FLAC, OGG, MP3, AIFF and floating-point WAV"
        ) from None
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.format not in FORMATS:
                raise ValueError(f"a sound of the format {file.format}, which is not read")
            before = int(file.samplerate)
            check_rate(before, file.channels)
            amplitudes = file.read(needed(before, rate, samples), dtype="float64", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(getattr(error, "error_string", str(error))) from error
    if not len(amplitudes) or not np.isfinite(amplitudes).all():
        raise ValueError("samples that are no numbers" if len(amplitudes) else "the file holds no samples")
    return amplitudes, before
