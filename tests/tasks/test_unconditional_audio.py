"""Unconditional audio: sounds stay int16, and previews are to be heard."""

from typing import Any

import numpy as np
import pytest
import torch

from prunelab.core.errors import Refusal
from prunelab.core.waveforms import from_wav
from prunelab.data.digits import Digits
from prunelab.data.notes import Notes
from prunelab.judges.listener import Listener
from prunelab.tasks.unconditional_audio import UnconditionalAudio


def task(data: Any) -> UnconditionalAudio:
    listener = Listener({"timbre": ["a", "b", "c"]}, 8000, widths=(8,), features=4)
    return UnconditionalAudio(data, listener, [], ("timbre",), 8000)


NOTES = Notes(train_size=6, test_size=5)


def test_examples_are_the_sounds_as_they_are() -> None:
    made = task(NOTES)
    made.check(5)
    assert torch.equal(made.test(5).media, torch.from_numpy(NOTES.test()[:]["audio"]).to(torch.int16))
    assert made.train(4).media.dtype == made.calibration(0).media(range(3)).dtype == torch.int16
    assert made.test(5).prompts == [""] * 5
    assert made.asked(5) == {}


def test_what_a_model_plays_is_stored_in_16_bits() -> None:
    played = torch.tensor([[[-1.0, -0.5, 0.0, 0.25, 1.0]]])
    stored = task(NOTES).stored(played)
    assert stored.dtype == torch.int16
    assert stored.tolist() == [[[-32768, -16384, 0, 8192, 32767]]]


def test_previews_are_sounds_at_the_rate() -> None:
    made = task(NOTES)
    media = made.test(3).media
    preview = made.preview("pruned", media, ["", "", ""])
    played = [from_wav(content) for content in preview.played]
    assert {rate for _, rate in played} == {8000}
    assert torch.equal(torch.from_numpy(np.stack([waveform for waveform, _ in played])), media)


def test_the_judge_hears_stored_sounds() -> None:
    judgement = task(NOTES).judged(task(NOTES).test(5).media)
    assert judgement.features.shape == (5, 4)
    assert judgement.predictions["timbre"].shape == judgement.confidences["timbre"].shape == (5,)


def test_data_without_sounds_are_refused() -> None:
    with pytest.raises(Refusal, match="no column 'audio'"):
        task(Digits(train_size=2, test_size=2)).check(1)
