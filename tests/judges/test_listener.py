"""The network that listens: its spectrogram written out, and the same answers after saving and loading."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from prunelab.core.errors import Refusal
from prunelab.judges.listener import Listener, mel_filters

LABELS = {"timbre": ["bell", "organ"], "pitch": ["low", "middle", "high"]}


def sounds(n: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(-20000, 20000, (n, 1, 1024), generator=random).to(torch.int16)


def listener() -> Listener:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Listener(LABELS, 8000, 64, 32, 16, 0.3, widths=[8, 16], features=12).eval()


def test_features_and_one_head_per_label() -> None:
    features, logits = listener()(sounds(5))
    assert features.shape == (5, 12)
    assert {label: tuple(logit.shape) for label, logit in logits.items()} == {
        "timbre": (5, 2),
        "pitch": (5, 3),
    }


def test_the_spectrogram_is_its_formula() -> None:
    one = sounds(1)
    found = listener().spectrograms(one)[0, 0].numpy()
    padded = np.pad(one[0, 0].double().numpy() / 32768, 32, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    frames = [np.abs(np.fft.rfft(hann * padded[i : i + 64])) for i in range(0, 1024 + 1, 32)]
    expected = np.log(np.maximum(mel_filters(16, 64, 8000).numpy() @ np.array(frames).T, 0.3))
    assert found.shape == (16, 33)
    assert np.abs(found - expected).max() < 1e-4
    assert (expected > np.log(0.3)).any()


def test_silence_is_the_floor() -> None:
    quiet = torch.randint(-3, 3, (1, 1, 1024), dtype=torch.int16)
    assert torch.equal(listener().spectrograms(quiet), torch.full((1, 1, 16, 33), 0.3).log())


def test_mel_filters_are_triangles_on_the_scale() -> None:
    filters = mel_filters(10, 512, 8000)
    top = 2595 * np.log10(1 + 4000 / 700)
    edges = 700 * (10 ** (np.arange(12) * top / 11 / 2595) - 1)
    hertz = np.arange(257) * 8000 / 512
    expected = np.array([np.interp(hertz, edges[i : i + 3], [0, 1, 0], 0, 0) for i in range(10)])
    assert np.abs(filters.numpy() - expected).max() < 1e-6


def test_a_filter_between_two_frequencies_takes_the_nearest() -> None:
    filters = mel_filters(64, 64, 8000)
    assert (filters.sum(dim=1) > 0).all()
    assert ((filters > 0).sum(dim=1) == 1).any()


def test_saved_is_loaded(tmp_path: Path) -> None:
    listener().save(tmp_path)
    loaded = Listener.load(tmp_path)
    assert (loaded.rate, loaded.window, loaded.hop, loaded.bands, loaded.floor) == (8000, 64, 32, 16, 0.3)
    torch.testing.assert_close(loaded(sounds(3))[0], listener()(sounds(3))[0], rtol=0, atol=0.05)
    loaded.save(tmp_path / "again")
    assert torch.equal(Listener.load(tmp_path / "again")(sounds(3))[0], loaded(sounds(3))[0])


@pytest.mark.parametrize(
    "change", [{"rate": 0}, {"window": -1}, {"hop": 0}, {"bands": 2**40}, {"floor": 0}, {"floor": "low"}]
)
def test_a_spectrogram_that_cannot_be_is_one_line(tmp_path: Path, change: dict[str, object]) -> None:
    listener().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(Refusal, match="broken, or of a judge of another kind") as refusal:
        Listener.load(tmp_path)
    assert "\n" not in str(refusal.value)
