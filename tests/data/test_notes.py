"""Synthesised notes: the pitch that the label says, and nothing but (seed, i, split) behind them."""

import numpy as np
import pytest
import torch

from prunelab.data.notes import LABELS, PARTIALS, PERIOD, PITCHED, RATE, SAMPLES, TIMBRES, Notes, synthesise

SMALL = Notes(train_size=60, test_size=30)


def test_an_item_depends_on_the_seed_its_number_and_the_split_only() -> None:
    few, more = SMALL.train()[:], Notes(train_size=90, test_size=1).train()[:60]
    assert all(np.array_equal(few[name], more[name]) for name in ("audio", *LABELS))
    assert not np.array_equal(few["audio"][:30], SMALL.test()[:]["audio"])
    assert not np.array_equal(few["audio"], Notes(seed=1, train_size=60).train()[:]["audio"])


def test_columns() -> None:
    data = SMALL.train()
    assert data.features["audio"].dtype == "int16"
    assert data.features["audio"].shape == (1, SAMPLES) == (1, 3968)
    assert [data.features[label].num_classes for label in LABELS] == [5, 13]
    assert data.features["pitch"].names[0] == "250 Hz"
    drums = data[:]["timbre"] >= len(PITCHED)
    assert np.array_equal(data[:]["pitch"] == len(PARTIALS), drums)


def test_peaks_are_between_half_and_95_percent_of_full_scale() -> None:
    peaks = np.abs(SMALL.train()[:]["audio"]).max(axis=(1, 2)) / 32768
    assert peaks.min() >= 0.5 - 1e-4
    assert peaks.max() <= 0.95 + 1e-4


@pytest.mark.parametrize("timbre", PITCHED)
def test_the_strongest_frequency_is_the_pitch(timbre: str) -> None:
    pitches = torch.arange(len(PARTIALS))
    notes = synthesise(torch.full_like(pitches, TIMBRES.index(timbre)), pitches, torch.full((12, 4), 0.5))
    middle = notes[:, 0, 5 * PERIOD : 25 * PERIOD].double().numpy()  # whole cycles, so that bins are exact
    spectrum = np.abs(np.fft.rfft(middle, axis=1))
    heard = spectrum.argmax(axis=1) * RATE / middle.shape[1]
    assert heard == pytest.approx([RATE / PERIOD * partial for partial in PARTIALS])


def test_a_bell_is_its_formula() -> None:
    gain, decay, bright = 0.2, 0.7, 0.4
    note = synthesise(torch.tensor([0]), torch.tensor([3]), torch.tensor([[gain, decay, bright, 0.0]]))
    t, hertz = np.arange(SAMPLES) / 8000, 62.5
    brightness = 0.6 + 0.8 * bright
    wave = np.sin(2 * np.pi * 7 * hertz * t)
    wave += 0.6 * brightness * np.sin(2 * np.pi * 19 * hertz * t) * np.exp(-6 * t)  # 2.76 * 7 = 19.3
    wave += 0.4 * brightness * np.sin(2 * np.pi * 38 * hertz * t) * np.exp(-10 * t)  # 5.4 * 7 = 37.8
    wave *= np.exp(-(3 + 5 * decay) * t)
    wave *= (0.5 + 0.45 * gain) / np.abs(wave).max()
    assert np.abs(note[0, 0].numpy() - wave * 32768).max() < 1


def test_labels_are_spread_evenly() -> None:
    items = Notes(train_size=2000).train()[:]
    assert np.bincount(items["timbre"], minlength=5).min() > 0.75 * 2000 / 5
    assert np.bincount(items["pitch"], minlength=13)[:12].min() > 0.6 * 2000 * 3 / 5 / 12


def test_the_fingerprint_follows_the_settings() -> None:
    assert SMALL.fingerprint == Notes(train_size=60, test_size=30).fingerprint
    assert SMALL.fingerprint != Notes(train_size=60, test_size=31).fingerprint
