"""Previews as files beside the report, and back."""

import re
import wave
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunelab.core.errors import Refusal
from prunelab.core.image_files import opened_image, png
from prunelab.core.previews import PICTURES, SOUNDS, Preview
from prunelab.core.waveforms import from_wav
from prunelab.previews.picture import pictures
from prunelab.previews.sound import HEADING, sounds

OTHERS = "previews"  # the key of all media but these two, which have had theirs from the start
LONGEST = 100  # characters of a file's name after its number; a label may be longer
MOST_BYTES = 2**26  # of one file that is played: six minutes of sound in stereo

Entry = Mapping[str, Any]


def write(folder: Path, previews: Sequence[Preview]) -> dict[str, list[Entry]]:
    """Write the files of all previews below ``folder``; their entries for ``report.json``, by its keys."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: dict[str, list[Entry]] = {key: [] for key in FORMS}
    for number, one in enumerate(previews):
        key = _key(one)
        (folder / one.medium).mkdir(exist_ok=True)
        words = re.sub(r"[^A-Za-z0-9.]+", "-", f"{one.state} {one.label}")[:LONGEST].strip("-.")
        told = {"state": one.state, "label": one.label, "captions": list(one.captions)}
        writer, _ = FORMS[key]
        entries[key].append({**told, **writer(folder, f"{one.medium}/{number:02d}-{words}", one)})
    return entries


def read(folder: Path, report: Mapping[str, Any]) -> list[Preview]:
    """What ``write`` wrote into ``folder`` and the report names; Refusal for what is missing or broken."""
    return [reader(folder, entry) for key, (_, reader) in FORMS.items() for entry in report.get(key, ())]


def _key(one: Preview) -> str:
    """Where an entry of it stands: these of two media hold what theirs always held, and nothing else."""
    if (one.medium, one.heading, len(one.played)) == (PICTURES, Preview.heading, 0):
        return PICTURES if len({_opened(still).shape for still in one.stills}) == 1 else OTHERS
    if (one.medium, one.heading, one.kind) == (SOUNDS, HEADING, "audio/wav") and one.played:
        return SOUNDS
    return OTHERS


def _write_strip(folder: Path, stem: str, one: Preview) -> Entry:
    """All pictures as one, side by side."""
    name = f"{stem}.png"
    images = [_opened(still) for still in one.stills]
    (folder / name).write_bytes(png(np.concatenate(images, axis=1)))
    return {"file": name}


def _read_strip(folder: Path, entry: Entry) -> Preview:
    path, captions = folder / entry["file"], entry["captions"]
    images = _pixels(path)
    if images.shape[1] % len(captions):
        raise Refusal(_broken(path, "picture"))
    return pictures(entry["state"], entry["label"], np.stack(np.split(images, len(captions), 1)), captions)


def _write_sounds(folder: Path, stem: str, one: Preview) -> Entry:
    rate = from_wav(one.played[0])[1]
    return {"rate": rate, "files": _write_files(folder, stem, one.played, "wav")}


def _read_sounds(folder: Path, entry: Entry) -> Preview:
    read = [_sound(folder / name) for name in entry["files"]]
    if {(waveform.shape, rate) for waveform, rate in read} != {(read[0][0].shape, entry["rate"])}:
        first = folder / entry["files"][0]
        raise Refusal(f"the sounds {first} ... are not of one length and {entry['rate']} Hz")
    if len(read) != len(entry["captions"]):
        raise Refusal(_broken(folder / entry["files"][0], "sound with a caption"))
    waveforms = np.stack([waveform for waveform, _ in read])
    return sounds(entry["state"], entry["label"], waveforms, read[0][1], entry["captions"])


def _write_others(folder: Path, stem: str, one: Preview) -> Entry:
    suffix = re.sub(r"[^a-z0-9]", "", one.kind.partition("/")[2])
    stills = _write_files(folder, stem, one.stills, "png")
    files = {"files": _write_files(folder, f"{stem}-played", one.played, suffix)} if one.played else {}
    return {"medium": one.medium, "heading": one.heading, "kind": one.kind, "stills": stills, **files}


def _read_others(folder: Path, entry: Entry) -> Preview:
    stills = [png(_pixels(folder / name)) for name in entry["stills"]]
    played = [_content(folder / name, "preview") for name in entry.get("files", ())]
    told = {name: entry[name] for name in ("state", "label", "captions", "kind", "medium", "heading")}
    return Preview(**told, stills=stills, played=played or ())


FORMS: dict[str, tuple[Callable[[Path, str, Preview], Entry], Callable[[Path, Entry], Preview]]] = {
    PICTURES: (_write_strip, _read_strip),
    SOUNDS: (_write_sounds, _read_sounds),
    OTHERS: (_write_others, _read_others),
}


def _write_files(folder: Path, stem: str, contents: Sequence[bytes], suffix: str) -> list[str]:
    names = [f"{stem}-{number:02d}.{suffix}" for number in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    return names


def _pixels(path: Path) -> NDArray[np.uint8]:
    """The pixels of an image file, (height, width, 3)."""
    try:
        return _opened(_content(path, "picture"), "RGB")
    except (OSError, ValueError) as error:
        raise Refusal(_broken(path, "picture")) from error


def _opened(content: bytes, mode: str | None = None) -> NDArray[np.uint8]:
    """(height, width, channels) of an image file's content, grey or in colour."""
    with opened_image(BytesIO(content)) as image:
        pixels = np.asarray(image.convert(mode or ("L" if image.mode == "L" else "RGB")))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _sound(path: Path) -> tuple[NDArray[np.int16], int]:
    try:
        waveform, rate = from_wav(_content(path, "sound"))
        if not waveform.shape[-1]:
            raise EOFError(path)
        return waveform, rate
    except (EOFError, ValueError, wave.Error) as error:
        raise Refusal(_broken(path, "sound")) from error


def _content(path: Path, what: str) -> bytes:
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:  # a pipe would be waited for
            raise FileNotFoundError(path)
        return path.read_bytes()
    except OSError as error:
        raise Refusal(_broken(path, what)) from error


def _broken(path: Path, what: str) -> str:
    return f"{path} cannot be read as a {what}: run the job again to write it anew"
