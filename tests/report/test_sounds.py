"""Sounds beside the report and in its page are the samples that were given."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prunelab.core.errors import Refusal
from prunelab.core.previews import Preview
from prunelab.core.waveforms import from_wav
from prunelab.previews.sound import sounds, spectrogram
from prunelab.report import beside, read_report, write_combined, write_report

MakeRow = Callable[..., dict[str, Any]]


def sound(state: str, seed: int, label: str = "") -> Preview:
    samples = np.random.default_rng(seed).integers(-9000, 9000, size=(2, 1, 800)).astype(np.int16)
    return sounds(state, label, samples, 8000, ["one", "two"])


@pytest.fixture
def heard() -> list[Preview]:
    return [sound("dense", 0), sound("pruned", 1), sound("recovered", 2)]


def test_the_files_hold_the_samples(tmp_path: Path, rows: list[dict[str, Any]], heard: list[Preview]) -> None:
    write_report(tmp_path, rows, heard, [], {})
    entries = read_report(tmp_path / "report.json")["sounds"]
    assert [(entry["state"], entry["rate"], entry["captions"]) for entry in entries] == [
        (state, 8000, ["one", "two"]) for state in ("dense", "pruned", "recovered")
    ]
    for given, entry, read in zip(heard, entries, beside.read(tmp_path, {"sounds": entries}), strict=True):
        contents = [from_wav((tmp_path / name).read_bytes()) for name in entry["files"]]
        assert all(rate == 8000 for _, rate in contents)
        assert [(tmp_path / name).read_bytes() for name in entry["files"]] == given.played
        assert read == given
    assert len(list((tmp_path / "sounds").iterdir())) == 6


def test_the_page_plays_the_samples(tmp_path: Path, rows: list[dict[str, Any]], heard: list[Preview]) -> None:
    html = write_report(tmp_path, rows, heard, [], {}).read_text(encoding="utf-8")
    played = re.findall(r'<audio controls preload="none" src="data:audio/wav;base64,([^"]+)"', html)
    given = [from_wav(content)[0] for one in heard for content in one.played]
    assert len(played) == len(given) == 6
    for encoded, waveform in zip(played, given, strict=True):
        assert np.array_equal(from_wav(base64.b64decode(encoded))[0], waveform)
    assert html.count('alt="drawing of pruned: two"') == 1
    assert html.index(">dense<") < html.index(">pruned<") < html.index(">recovered<")


def test_a_report_without_sounds_has_no_players(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    html = write_report(tmp_path, rows, [], [], {}).read_text(encoding="utf-8")
    assert "<audio" not in html
    assert read_report(tmp_path / "report.json")["sounds"] == []
    assert not (tmp_path / "sounds").exists()


def test_a_sweep_carries_each_sound_once(tmp_path: Path, row: MakeRow) -> None:
    jobs = []
    for number, scorer in enumerate(("magnitude", "random")):
        rows = [row("dense"), row("pruned", scorer)]
        shown = [sound("dense", 0), sound("pruned", 10 + number)]
        jobs.append(write_report(tmp_path / scorer, rows, shown, [], {}).parent)
    write_combined(tmp_path / "sweep", jobs)
    entries = read_report(tmp_path / "sweep" / "report.json")["sounds"]
    assert [(entry["state"], entry["label"]) for entry in entries] == [
        ("dense", ""),
        ("pruned", "magnitude"),
        ("pruned", "random"),
    ]
    read = beside.read(tmp_path / "sweep", {"sounds": entries})
    assert read[2].played == sound("pruned", 11).played


def test_a_broken_file_is_refused(tmp_path: Path, rows: list[dict[str, Any]], heard: list[Preview]) -> None:
    write_report(tmp_path, rows, heard, [], {})
    entries = read_report(tmp_path / "report.json")["sounds"]
    (tmp_path / entries[0]["files"][1]).write_bytes(b"RIFF")
    with pytest.raises(Refusal, match="cannot be read as a sound"):
        beside.read(tmp_path, {"sounds": entries})


def test_a_tone_is_a_line_at_its_frequency() -> None:
    tone = (20000 * np.sin(2 * np.pi * 1000 / 8000 * np.arange(4000))).astype(np.int16)[None]
    drawn = spectrogram(tone, 8000)
    assert drawn.shape == (96, 128, 3)
    brightness = drawn.astype(int).sum(axis=2)[:, 20:100].mean(axis=1)
    assert abs(brightness.argmax() - 96 * (1 - 1000 / 4000)) <= 1  # the top row is 4000 Hz
    assert brightness[:40].max() < 0.2 * brightness.max()
