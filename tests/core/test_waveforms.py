"""Sounds as 16-bit numbers, in memory and in files."""

import io
import struct
import wave

import numpy as np
import pytest
import torch

from prunelab.core.waveforms import from_wav, quantised, scaled, to_wav


def test_every_sample_survives_scaling() -> None:
    everything = torch.arange(-32768, 32768).to(torch.int16)
    assert torch.equal(quantised(scaled(everything)), everything)


def test_what_is_too_loud_is_clipped() -> None:
    loud = torch.tensor([-2.0, -1.0, 0.5, 1.0, 2.0])
    assert quantised(loud).tolist() == [-32768, -32768, 16384, 32767, 32767]


def test_a_file_holds_the_samples() -> None:
    stereo = np.random.default_rng(0).integers(-32768, 32768, size=(2, 50)).astype(np.int16)
    content = to_wav(stereo, 8000)
    read, rate = from_wav(content)
    assert rate == 8000
    assert np.array_equal(read, stereo)
    left_right = np.frombuffer(content[-200:], dtype="<i2")  # the frames end the file, interleaved
    assert left_right[:4].tolist() == [stereo[0, 0], stereo[1, 0], stereo[0, 1], stereo[1, 1]]


def test_eight_bits_are_no_sixteen() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes(10))
    with pytest.raises(wave.Error, match="8 bits"):
        from_wav(buffer.getvalue())


def lying(**said: int) -> bytes:
    """A WAV file of 100 frames whose header says something else."""
    true = {"channels": 1, "rate": 8000, "bits": 16, "data": 200} | said
    align = max(1, true["channels"] * ((true["bits"] + 7) // 8)) % 2**16
    header = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, true["channels"], true["rate"], 0, align, true["bits"])
    chunks = b"WAVE" + header + struct.pack("<4sI", b"data", true["data"]) + bytes(200)
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"rate": 0}, "0 Hz"),
        ({"rate": 1}, "1 Hz"),
        ({"rate": 2**32 - 1}, "4294967295 Hz"),
        ({"channels": 0}, "channels"),
        ({"channels": 65535, "data": 0}, "65535 channels"),
        ({"bits": 40}, "40 bits"),
        ({"bits": 64}, "64 bits"),
        ({"bits": 0}, "width"),
        ({"data": 0}, "no samples"),
        ({"data": 201 + 2**20}, "truncated: 1048777 bytes are announced, 200 there"),
        ({"data": 2**32 - 1}, "truncated"),
    ],
)
def test_headers_that_lie(said: dict[str, int], message: str) -> None:
    assert from_wav(lying())[0].shape == (1, 100)
    with pytest.raises((wave.Error, EOFError), match=message):
        from_wav(lying(**said))


@pytest.mark.parametrize("length", [0, 4, 12, 20, 40, 44, 100, 243])
def test_files_cut_off(length: int) -> None:
    with pytest.raises((wave.Error, EOFError)):
        from_wav(lying()[:length])
