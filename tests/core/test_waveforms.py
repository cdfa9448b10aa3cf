"""Sounds as 16-bit numbers, in memory and in files."""

import io
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
