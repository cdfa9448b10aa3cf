"""The model of sounds: its promises, and what the embedded weights play."""

from pathlib import Path

import pytest
import torch

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.waveforms import quantised
from prunelab.data.notes import Notes
from prunelab.judges.listener import Listener
from prunelab.models.folders import EMBEDDED
from prunelab.models.mdct import Mdct, as_waveforms
from prunelab.models.pipeline import PipelineModel


@pytest.fixture(scope="module")
def model() -> PipelineModel:
    return PipelineModel.open("tiny_uag", embedded="tiny_uag", media=Mdct(8000))


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener.load(EMBEDDED / "note_judge")


@torch.no_grad()
def test_sounds_go_to_latents_and_nearly_come_back(model: PipelineModel, listener: Listener) -> None:
    data = Notes(train_size=1, test_size=20).test()[:]
    sounds = torch.from_numpy(data["audio"]).to(torch.int16)
    latents = model.encode(sounds)
    assert latents.shape == (20, *model.latent_shape) == (20, 4, 16, 8)
    back = model.decode(latents)
    assert back.shape == (20, 1, 3968)
    assert back.dtype == torch.float32
    signal = sounds.double() / 32768
    noise = (back - signal).square().sum(dim=(1, 2))
    assert (10 * torch.log10(signal.square().sum(dim=(1, 2)) / noise)).median() > 15  # dB
    _, logits = listener(quantised(back))
    for label in ("timbre", "pitch"):
        assert torch.equal(logits[label].argmax(1), torch.from_numpy(data[label]))


@torch.no_grad()
def test_what_it_plays_is_recognisable(model: PipelineModel, listener: Listener) -> None:
    noise = normal(model.latent_shape, 0, range(16), "test")
    sounds = model.decode(model.sample(None, noise, 10, 1.0)[-1])
    _, logits = listener(quantised(sounds))
    sure = torch.stack([each.softmax(1).amax(1) for each in logits.values()]).amin(0)
    assert (sure > 0.9).float().mean() > 0.6
    assert len(logits["timbre"].argmax(1).unique()) >= 3


@torch.no_grad()
def test_pictures_of_the_plain_pipeline_become_the_same_sounds(model: PipelineModel) -> None:
    latents = normal(model.latent_shape, 0, range(2), "test")
    pictures = model.pipeline.vqvae.decode(latents).sample
    assert torch.equal(as_waveforms(pictures).clamp(-1, 1), model.decode(latents))


def test_the_rate_stays_with_the_model(model: PipelineModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    found = [model, model.reopened(tmp_path), model.with_components({})]
    assert [each.media.rate for each in found if isinstance(each.media, Mdct)] == [8000] * 3
    assert {each.makes for each in found} == {"sounds"}


def test_a_model_without_a_rate_is_refused() -> None:
    with pytest.raises(Refusal, match="need a rate"):
        Mdct(0)
