"""Sounds from folders: the right samples at the right rate, and bad files named."""

import io
import math
import struct
import sys
import types
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from scipy.signal import resample_poly

from prunelab.core.errors import Refusal
from prunelab.data.sounds import Sounds
from prunelab.data.waveform import needed, waveform

from .conftest import wav

NOISE = np.random.default_rng(0).integers(-20000, 20000, (400, 1)).astype("<i2")


def test_16_bits_at_the_same_rate_are_kept() -> None:
    assert np.array_equal(waveform(wav(NOISE), 8000, 400), NOISE.T)
    assert np.array_equal(waveform(wav(NOISE), 8000, 300), NOISE[:300].T)
    longer = waveform(wav(NOISE), 8000, 500)
    assert (longer.shape, longer.dtype) == ((1, 500), np.int16)
    assert np.array_equal(longer[:, :400], NOISE.T)
    assert not longer[:, 400:].any()


def test_other_widths_and_two_channels() -> None:
    values = np.array([[-0.5], [0.25], [0.75]])
    expected = (values.T * 32768).astype(np.int16)
    eight = (values * 128 + 128).astype("u1")
    assert np.array_equal(waveform(wav(eight, width=1), 8000, 3), expected)
    whole = (values * 2**31).astype("<i4")
    assert np.array_equal(waveform(wav(whole, width=4), 8000, 3), expected)
    three = whole.view("u1").reshape(3, 4)[:, 1:].copy()
    assert np.array_equal(waveform(wav(three, width=3), 8000, 3), expected)
    stereo = np.hstack([NOISE, np.zeros_like(NOISE)])
    assert np.array_equal(
        waveform(wav(stereo, channels=2), 8000, 400), np.round(NOISE.T / 2).astype(np.int16)
    )


def test_another_rate_keeps_the_pitch() -> None:
    time = np.arange(8000) / 8000
    tone = (np.sin(2 * np.pi * 440 * time) * 16384).astype("<i2")[:, None]
    resampled = waveform(wav(tone), 22050, 22050)[0].astype(float)
    expected = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050) * 16384
    assert np.abs(resampled - expected)[500:-500].max() < 50  # of 16384, away from the filter's ends


@pytest.mark.parametrize("rate", [8000, 7999, 44100, 1000, 384000])
def test_what_comes_later_does_not_count(rate: int) -> None:
    """No more is read than is needed: exactly what the whole file gives."""
    noise = np.random.default_rng(1).integers(-20000, 20000, 400000).astype("<i2")
    content = at_rate(wav(noise[:, None]), rate)
    amplitudes = noise / 32768
    common = math.gcd(rate, 8000)
    whole = resample_poly(amplitudes, 8000 // common, rate // common) if rate != 8000 else amplitudes
    expected = (whole[:100] * 32768).round().clip(-32768, 32767)
    assert np.array_equal(waveform(content, 8000, 100)[0], expected)
    assert needed(rate, 8000, 100) < 8000, "of 400000"


def at_rate(content: bytes, rate: int) -> bytes:
    return content[:24] + struct.pack("<I", rate) + content[28:]


def everything(data: Sounds) -> list[Any]:
    return [data.train()[:], data.test()[:]]


def folder_of(tmp_path: Path, count: int) -> Path:
    folder = tmp_path / "sounds"
    (folder / "deep").mkdir(parents=True)
    for i in range(count):
        (folder / ("deep" if i % 2 else ".") / f"{i}.wav").write_bytes(wav(NOISE[: 100 + i]))
    return folder


def test_a_folder(tmp_path: Path) -> None:
    data = Sounds(path=str(folder_of(tmp_path, 5)), rate=8000, samples=120, test_size=2)
    train, test = data.train(), data.test()
    assert (train.column_names, len(train), len(test)) == (["audio"], 3, 2)
    found = np.concatenate([train[:]["audio"], test[:]["audio"]])
    assert (found.shape, found.dtype) == ((5, 1, 120), np.int16)
    lengths = sorted(int(np.flatnonzero(each[0]).max()) + 1 for each in found)
    assert lengths == [100, 101, 102, 103, 104]


def test_bad_files_are_named_and_skipped_or_fatal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path, 6)
    (folder / "0.wav").write_bytes(wav(NOISE)[:30])
    (folder / "2.wav").write_bytes(wav(NOISE[:0]))
    data = Sounds(path=str(folder), rate=8000, samples=8, test_size=1, on_error="skip")
    assert len(data.train()) == 3
    line = capsys.readouterr().err
    assert line.startswith("data: 2 of 6 rows left out: ")
    assert "0.wav" in line
    assert "2.wav" in line
    with pytest.raises(Refusal, match=r"audio cannot be read: [02].wav .*data.on_error=skip"):
        everything(Sounds(path=str(folder), rate=8000, samples=8, test_size=1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"no sound at all", "not a sound in one of the formats"),
        (b"FORM\0\0\1\0AIFF" + bytes(200), "truncated"),
        (at_rate(wav(NOISE), 1), "1 Hz"),
        (at_rate(wav(NOISE), 2**32 - 1), "4294967295 Hz"),
        (wav(NOISE)[:32] + struct.pack("<HH", 5, 40) + bytes(2**10), "truncated|40 bits"),
        (wav(NOISE)[:32] + struct.pack("<HH", 8, 64) + wav(NOISE)[36:], "64 bits"),
        (wav(NOISE)[:40] + struct.pack("<I", 2**31) + wav(NOISE)[44:], "truncated: 2147483648 bytes"),
        (wav(NOISE)[:22] + struct.pack("<H", 65535) + wav(NOISE)[24:], "65535 channels"),
        (wav(NOISE)[:22] + struct.pack("<H", 0) + wav(NOISE)[24:], "channels"),
    ],
    ids=[
        "empty",
        "text",
        "AIFF",
        "1 Hz",
        "4 GHz",
        "40 bits",
        "64 bits",
        "2 GB",
        "65535 channels",
        "no channel",
    ],
)
def test_what_does_not_tell_the_truth_is_a_bad_row(tmp_path: Path, content: bytes, message: str) -> None:
    folder = folder_of(tmp_path, 4)
    (folder / "0.wav").write_bytes(content)
    settings: dict[str, Any] = {"path": str(folder), "rate": 16000, "samples": 8, "test_size": 1}
    with pytest.raises(Refusal, match=rf"audio cannot be read: 0.wav \(.*({message})") as refusal:
        everything(Sounds(**settings))
    assert "\n" not in str(refusal.value)
    assert len(Sounds(**settings, on_error="skip").train()) == 2


class Heard:
    """What soundfile opens, of a header that says what it is told to."""

    format, samplerate, channels = "FLAC", 8000, 1
    amplitudes = NOISE / 32768

    def __init__(self, _: io.BytesIO) -> None:
        """Of any bytes."""

    def __enter__(self) -> "Heard":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, frames: int, **_: Any) -> Any:
        return self.amplitudes[:frames]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"samplerate": 2**31 - 1}, "2147483647 Hz"),
        ({"channels": 1024}, "1024 channels"),
        ({"format": "MAT5"}, "format MAT5"),
        ({"amplitudes": np.full((9, 1), np.nan)}, "no numbers"),
        ({"amplitudes": np.zeros((0, 1))}, "no samples"),
    ],
)
def test_other_formats_are_not_believed_either(
    said: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.SimpleNamespace(SoundFile=Heard, SoundFileError=RuntimeError)
    monkeypatch.setitem(sys.modules, "soundfile", module)
    assert np.array_equal(waveform(b"fLaC", 8000, 300), NOISE[:300].T)
    for name, value in said.items():
        monkeypatch.setattr(Heard, name, value)
    with pytest.raises(ValueError, match=message):
        waveform(b"fLaC", 8000, 300)


def test_a_table_with_sounds_inside(tmp_path: Path) -> None:
    """Opened without the package that ``datasets`` itself decodes sounds with."""
    features = datasets.Features({"clip": datasets.Value("binary"), "note": datasets.Value("int64")})
    rows = [{"clip": wav(NOISE[: 50 + i]), "note": i} for i in range(4)]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "a.parquet")
    data = Sounds(
        path=str(tmp_path / "a.parquet"),
        rate=8000,
        samples=60,
        audio_column="clip",
        labels={"pitch": "note"},
        test_size=1,
    )
    rows = data.train()[:]
    for sound, pitch in zip(rows["audio"], rows["pitch"], strict=True):
        assert np.array_equal(sound[0, : 50 + pitch], NOISE[: 50 + pitch, 0])


def test_other_formats_name_what_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    folder = tmp_path / "sounds"
    folder.mkdir()
    for i in range(2):
        (folder / f"{i}.flac").write_bytes(b"fLaC" + bytes(40))
    for policy in ("stop", "skip"):
        with pytest.raises(Refusal, match=r"pip install prunelab\[audio\]"):
            Sounds(path=str(folder), test_size=1, on_error=policy).train()[:]
    floating = wav(NOISE)
    with pytest.raises(Refusal, match=r"pip install prunelab\[audio\]"):
        waveform(floating[:20] + b"\x03\x00" + floating[22:], 8000, 4)


@pytest.mark.parametrize("name", ["rate", "samples"])
def test_sounds_without_length(name: str) -> None:
    with pytest.raises(Refusal, match=f"{name}=0 is too small: at least 1"):
        Sounds(path="who/what", test_size=1, **{name: 0})
