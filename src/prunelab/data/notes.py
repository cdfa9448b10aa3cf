"""Short notes of five timbres and twelve pitches, synthesised on the spot.

Nothing is recorded or downloaded. The pitches are partials 4 to 15 of 62.5 Hz (250 to 937.5 Hz, an overtone
scale rather than a tempered one), and so are all overtones: every partial makes whole cycles in 128 samples,
which keeps transforms with that hop as smooth in time as a magnitude spectrogram. Decay, attack, brightness,
gain and the kick's sweep vary; pitches are never detuned, and the snare plays one and the same noise.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunelab.core.draws import generator
from prunelab.core.settings import Count, settings
from prunelab.core.waveforms import quantised
from prunelab.data.made import Made, MadeData, drawn, pick

if TYPE_CHECKING:
    from datasets import Features

LABELS = ("timbre", "pitch")
RATE = 8000  # Hz
PERIOD = 128  # samples of one cycle of the fundamental that all partials share
SAMPLES = 31 * PERIOD  # 0.496 s
PARTIALS = tuple(range(4, 16))  # of the fundamental: the twelve pitches
HIGHEST = 60  # the last partial that sounds, 3750 Hz
PITCHED = ("bell", "pluck", "organ")
TIMBRES = (*PITCHED, "kick", "snare")
PITCHES = (*(f"{RATE / PERIOD * partial:g} Hz" for partial in PARTIALS), "none")


@settings
class Notes(MadeData):
    """Columns audio (int16, 1 x SAMPLES, full scale 32768), mono at RATE, and the two LABELS (class numbers).

    Drums have the pitch "none".
    """

    NAME, VERSION = "notes", 1

    train_size: Count = 12000

    def made(self, items: int, split: str) -> Made:
        """See :class:`MadeData`."""
        return _split(self.seed, items, split)


@lru_cache(maxsize=4)
def _split(seed: int, items: int, split: str) -> Made:
    """One split, whose sounds are made when they are listened to."""

    @lru_cache(maxsize=1)
    def uniform() -> Tensor:
        return drawn(range(items), 6, f"notes/{split}", seed)

    @lru_cache(maxsize=1)
    def audio() -> Tensor:  # all at once: in other company a note differs by round-off, and may by a step
        return synthesise(*_classes(uniform()), uniform()[:, 2:])

    def sounds(rows: Sequence[int]) -> dict[str, Any]:
        return {"audio": audio()[list(rows)].numpy()}

    def labels(rows: Sequence[int]) -> dict[str, Any]:
        numbers = (each[list(rows)].numpy() for each in _classes(uniform()))
        return dict(zip(LABELS, numbers, strict=True))

    return Made(items, {"audio": sounds, **dict.fromkeys(LABELS, labels)}, _features)


def _features() -> "Features":
    from datasets import Array2D, ClassLabel, Features

    return Features(
        {
            "audio": Array2D((1, SAMPLES), "int16"),
            "timbre": ClassLabel(names=list(TIMBRES)),
            "pitch": ClassLabel(names=list(PITCHES)),
        }
    )


def _classes(uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Timbres and pitches (n,) of uniform numbers (n, 2 or more)."""
    timbre = pick(uniform[:, 0], len(TIMBRES))
    return timbre, torch.where(timbre < len(PITCHED), pick(uniform[:, 1], len(PARTIALS)), len(PARTIALS))


def synthesise(timbre: Tensor, pitch: Tensor, knobs: Tensor) -> Tensor:
    """Notes, int16 (n, 1, SAMPLES), of class numbers (n,) and knobs (n, 4) in [0, 1).

    The knobs are gain (peaks from half to 95 % of full scale), decay, brightness, and attack or sweep.
    """
    notes = torch.empty(len(timbre), SAMPLES, dtype=torch.int16)
    for number, name in enumerate(TIMBRES):
        rows = (timbre == number).nonzero()[:, 0]
        partial = torch.tensor([*PARTIALS, 0])[pitch[rows]]
        wave = SOUNDS[name](partial, knobs[rows, 1:])
        peak = wave.abs().amax(dim=1, keepdim=True)
        level = 0.5 + 0.45 * knobs[rows, :1]
        notes[rows] = quantised(wave * (level / peak))
    return notes[:, None]


def _bell(partial: Tensor, knobs: Tensor) -> Tensor:
    """Three inharmonic partials, the higher ones shorter."""
    overtones = [_sines((partial * ratio).round().long()) for ratio in (2.76, 5.4)]
    bright = 0.6 + 0.8 * knobs[:, 1:2]
    high = 0.6 * overtones[0] * (-6 * _time()).exp() + 0.4 * overtones[1] * (-10 * _time()).exp()
    return _decay(3 + 5 * knobs[:, :1]) * (_sines(partial) + bright * high)


def _pluck(partial: Tensor, knobs: Tensor) -> Tensor:
    """Eight harmonics, each decaying faster than the one below."""
    bright = 0.6 + 0.8 * knobs[:, 1:2]
    harmonics = [_sines(k * partial) * k**-bright * (-2.5 * k * _time()).exp() for k in range(1, 9)]
    return _decay(3 + 5 * knobs[:, :1]) * torch.stack(harmonics).sum(dim=0)


def _organ(partial: Tensor, knobs: Tensor) -> Tensor:
    """Four harmonics held between an attack and a release."""
    bright = 0.6 + 0.8 * knobs[:, 1:2]
    stops = zip((2, 3, 4), (0.5, 0.35, 0.25), strict=True)
    harmonics = torch.stack([share * _sines(k * partial) for k, share in stops]).sum(dim=0)
    attack = (_time() / (0.005 + 0.015 * knobs[:, 2:3])).clamp(max=1)
    release = (12 * (0.49 - _time())).clamp(0, 1)
    return attack * release * (_sines(partial) + bright * harmonics)


def _kick(partial: Tensor, knobs: Tensor) -> Tensor:
    """A sine that falls to 62.5 Hz."""
    sweep = (5 + 2 * knobs[:, 2:3]) * (1 - (-25 * _time()).exp())
    return _decay(7 + 4 * knobs[:, :1]) * torch.sin(2 * math.pi * (RATE / PERIOD * _time() + sweep))


def _snare(partial: Tensor, knobs: Tensor) -> Tensor:
    """Noise, the same in every note as in a sampled drum, over a short tone."""
    noise = torch.randn(SAMPLES, generator=generator(0, 0, "notes/snare"))
    tone = _sines(torch.full_like(partial, 3))
    return 0.6 * noise * _decay(9 + 8 * knobs[:, :1]) + 0.4 * tone * _decay(12 + 6 * knobs[:, 1:2])


SOUNDS = {"bell": _bell, "pluck": _pluck, "organ": _organ, "kick": _kick, "snare": _snare}


def _decay(rate: Tensor) -> Tensor:
    """Exponential envelopes (n, SAMPLES) of rates (n, 1) per second."""
    return (-rate * _time()).exp()


@lru_cache(maxsize=1)
def _time() -> Tensor:
    """Seconds since the onset, (SAMPLES,)."""
    return torch.arange(SAMPLES) / RATE


def _sines(partial: Tensor) -> Tensor:
    """Sines (n, SAMPLES) of these multiples of the fundamental, int64 (n,); silence above HIGHEST."""
    return _table()[torch.where(partial <= HIGHEST, partial, 0)]


@lru_cache(maxsize=1)
def _table() -> Tensor:
    """Row k is partial k; whole numbers of samples per period keep the phase exact."""
    phase = torch.arange(HIGHEST + 1)[:, None] * torch.arange(SAMPLES) % PERIOD
    return torch.sin(2 * math.pi / PERIOD * phase.double()).float()
