"""CLAP's features against a plain call of a tiny random CLAP, from a folder as transformers saves it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

from prunelab.core.errors import Refusal
from prunelab.judges.clap import Clap

AUDIO = {
    "window_size": 4,
    "num_mel_bins": 16,
    "spec_size": 64,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "patch_embeds_hidden_size": 8,
    "depths": [1, 1],
    "num_attention_heads": [1, 2],
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "projection_dim": 8,
}
TEXT = {
    "vocab_size": 8,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 8,
    "projection_dim": 8,
}


def saved(folder: Path, fused: bool = False) -> Path:
    """A CLAP that hears one second at 8 kHz."""
    config = ClapConfig(text_config=TEXT, audio_config={**AUDIO, "enable_fusion": fused}, projection_dim=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=80,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=4000,
        truncation="rand_trunc",
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("clap"))


def sounds(count: int, samples: int) -> torch.Tensor:
    random = np.random.default_rng(count)
    time = np.arange(samples) / 8000
    tones = [np.sin(2 * np.pi * pitch * time) for pitch in random.uniform(100, 3000, count)]
    return torch.from_numpy((np.stack(tones) * 20000).astype(np.int16))[:, None]


def expected(folder: Path, waves: np.ndarray) -> torch.Tensor:
    """One sound at a time through the whole model."""
    model = ClapModel.from_pretrained(folder).eval()
    extractor = ClapFeatureExtractor.from_pretrained(folder)
    found = []
    for wave in waves:
        inputs = extractor(wave, sampling_rate=8000, return_tensors="pt")
        with torch.no_grad():
            found.append(model.get_audio_features(input_features=inputs.input_features.float()).pooler_output)
    return torch.cat(found)


def test_features(folder: Path) -> None:
    media = sounds(5, 3000)
    features, logits = Clap.load(str(folder), rate=8000)(media)
    assert logits == {}
    torch.testing.assert_close(features, expected(folder, media[:, 0].numpy() / 32768), rtol=1e-4, atol=1e-5)
    assert features.std(dim=0).max() > 1e-3, "sounds differ"


def test_another_rate_is_resampled(folder: Path) -> None:
    media = sounds(3, 1500)
    features, _ = Clap.load(str(folder), rate=4000)(media)
    waves = np.stack([resample_poly(each[0] / 32768, 2, 1) for each in media.numpy()])
    torch.testing.assert_close(features, expected(folder, waves), rtol=1e-4, atol=1e-5)


def test_long_sounds_are_heard_from_their_beginning(folder: Path) -> None:
    media = sounds(3, 9000)
    judge = Clap.load(str(folder), rate=8000)
    torch.testing.assert_close(judge(media)[0], judge(media[..., :8000])[0])


def test_the_rate_is_part_of_what_identifies_the_judge(folder: Path) -> None:
    states = [Clap.load(str(folder), rate=rate).state_dict() for rate in (8000, 8000, 4000)]
    assert torch.equal(states[0]["prepared"], states[1]["prepared"])
    assert not torch.equal(states[0]["prepared"], states[2]["prepared"])


def test_what_cannot_be_a_judge(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no ClapModel in not/there"):
        Clap.load("not/there", rate=8000)
    with pytest.raises(Refusal, match="fused CLAP"):
        Clap.load(str(saved(tmp_path, fused=True)), rate=8000)
