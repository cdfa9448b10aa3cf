"""Sounds from folders: the right samples at the right rate, and bad files named."""

import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from prunelab.core.errors import Refusal
from prunelab.data.sounds import Sounds
from prunelab.data.waveform import waveform

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
    with pytest.raises(Refusal, match=f"data.{name}=0"):
        Sounds(path="who/what", test_size=1, **{name: 0})
