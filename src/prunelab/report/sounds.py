"""Sounds of samples: WAV files beside the report, players and spectrograms in its page."""

import base64
import re
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from prunelab.core.errors import Refusal
from prunelab.core.previews import Sound
from prunelab.core.waveforms import FULL_SCALE, from_wav, to_wav
from prunelab.report.pictures import LONGEST, inline

FOLDER = "sounds"
WINDOW, HOP = 256, 64  # samples, of the drawn spectrograms
MOST_BYTES = 2**26  # of one file: six minutes in stereo
RANGE = 60  # dB below a full-scale sine that a drawing shows
DRAWING = (128, 96)  # pixels, width and height


@dataclass(frozen=True)
class Player:
    """One sound in the page: its spectrogram and itself, as data URIs."""

    drawing: str
    sound: str


@dataclass(frozen=True)
class Players:
    """Models below each other, the same seeds beside each other."""

    captions: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[Player]]]  # state, label, sounds


def write_sounds(folder: Path, sounds: Sequence[Sound]) -> list[dict[str, object]]:
    """Write every waveform as one WAV file in ``folder/sounds``; their entries for ``report.json``."""
    if sounds:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    for number, sound in enumerate(sounds):
        words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{sound.state} {sound.label}").strip("-.")[:LONGEST]
        names = [f"{FOLDER}/{number:02d}-{words}-{index:02d}.wav" for index in range(len(sound.waveforms))]
        for name, waveform in zip(names, sound.waveforms, strict=True):
            (folder / name).write_bytes(to_wav(waveform, sound.rate))
        told = {"state": sound.state, "label": sound.label, "rate": sound.rate}
        entries.append({**told, "files": names, "captions": list(sound.captions)})
    return entries


def read_sounds(folder: Path, entries: Sequence[Mapping[str, object]]) -> list[Sound]:
    """The sounds that ``write_sounds`` wrote into ``folder``; Refusal when one is missing or broken."""
    return [_read(folder, entry) for entry in entries]


def players(sounds: Sequence[Sound]) -> list[Players]:
    """One table per run of sounds with the same captions."""
    groups = groupby(sounds, key=lambda sound: tuple(sound.captions))
    return [Players(captions, [_row(sound) for sound in group]) for captions, group in groups]


def spectrogram(waveform: NDArray[np.int16], rate: int) -> NDArray[np.uint8]:
    """A drawing of int16 samples (channels, samples), uint8 (height, width, 3): high frequencies on top."""
    mono = waveform.astype(np.float64).mean(axis=0) / FULL_SCALE
    window = hann(WINDOW, sym=False)
    spectrum = np.abs(ShortTimeFFT(window, HOP, rate).stft(mono)) / (window.sum() / 2)
    decibels = 20 * np.log10(np.maximum(spectrum, 10 ** (-RANGE / 20)))
    shades = matplotlib.colormaps["magma"](1 + decibels[::-1] / RANGE, bytes=True)[..., :3]
    return np.asarray(Image.fromarray(np.ascontiguousarray(shades)).resize(DRAWING))


def _row(sound: Sound) -> tuple[str, str, list[Player]]:
    return sound.state, sound.label, [_player(waveform, sound.rate) for waveform in sound.waveforms]


def _player(waveform: NDArray[np.int16], rate: int) -> Player:
    encoded = base64.b64encode(to_wav(waveform, rate)).decode()
    return Player(inline(spectrogram(waveform, rate)), f"data:audio/wav;base64,{encoded}")


def _read(folder: Path, entry: Mapping[str, object]) -> Sound:
    files, captions = entry["files"], entry["captions"]
    assert isinstance(files, list)
    assert isinstance(captions, list)
    read = [_read_file(folder / str(name)) for name in files]
    if {(waveform.shape, rate) for waveform, rate in read} != {(read[0][0].shape, entry["rate"])}:
        raise Refusal(f"the sounds {folder / str(files[0])} ... are not of one length and {entry['rate']} Hz")
    waveforms = np.stack([waveform for waveform, _ in read])
    return Sound(str(entry["state"]), str(entry["label"]), waveforms, read[0][1], captions)


def _read_file(path: Path) -> tuple[NDArray[np.int16], int]:
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:  # a pipe would be waited for
            raise FileNotFoundError(path)
        waveform, rate = from_wav(path.read_bytes())
        if not waveform.shape[-1]:
            raise EOFError(path)
        return waveform, rate
    except (OSError, EOFError, ValueError, wave.Error) as error:
        raise Refusal(f"{path} cannot be read as a sound: run the job again to write it anew") from error
