"""Calibration: prompts and pictures of the same draws."""

import pytest
import torch

from prunelab.core.errors import Refusal
from prunelab.data.digits import Digits
from prunelab.data.notes import Notes
from prunelab.judges.classifier import Judge
from prunelab.judges.listener import Listener
from prunelab.models.folders import EMBEDDED
from prunelab.tasks.judged_data import ShuffledExamples
from prunelab.tasks.text_to_image import TextToImage
from prunelab.tasks.unconditional_audio import UnconditionalAudio
from prunelab.tasks.unconditional_image import UnconditionalImage


def test_prompts_and_pictures_belong_together() -> None:
    split = Digits(0, 12, 4).train()
    rows = split[:]
    known = [
        (caption, torch.as_tensor(image))
        for caption, image in zip(rows["caption"], rows["image"], strict=True)
    ]
    examples = ShuffledExamples(split, 3)
    prompts, media = examples.prompts(range(14)), examples.media(range(14))
    assert media.dtype == torch.uint8
    found = [
        next(i for i, (_, picture) in enumerate(known) if torch.equal(picture.to(torch.uint8), image))
        for image in media
    ]
    assert [known[i][0] for i in found] == prompts
    assert sorted(found[:12]) == list(range(12))
    assert found[:2] == found[12:]  # past the end it starts again
    assert found[:12] != list(range(12))
    assert torch.equal(examples.media(range(5, 7)), media[5:7])


def test_data_with_and_without_its_captions_are_other_data() -> None:
    """Calibration and recovery see other prompts, so no result of one may be taken for the other's."""
    data, judge = Digits(0, 12, 4), Judge.load(EMBEDDED / "digit_judge")
    asked, free = (kind(data, judge, [], ("digit",)) for kind in (TextToImage, UnconditionalImage))
    assert asked.fingerprint() != free.fingerprint()
    assert asked.fingerprint() == TextToImage(Digits(0, 12, 4), judge, []).fingerprint()


def test_seen_prompts_are_the_training_split_s_and_ask_for_what_they_say() -> None:
    data = Digits(0, 600, 12)
    task = TextToImage(data, Judge.load(EMBEDDED / "digit_judge"), [], ("digit", "foreground"))
    asked, rows = task.seen(20), data.train()
    assert asked.prompts == list(dict.fromkeys(rows["caption"]))[:20], "each once, in the split's order"
    first = [list(rows["caption"]).index(prompt) for prompt in asked.prompts]
    for name in ("digit", "foreground"):
        assert asked.labels[name].tolist() == [int(rows[row][name]) for row in first]
    assert len(task.seen(500).prompts) == 400, "no more than there are"
    assert task.seen(0).prompts == []
    assert UnconditionalImage(data, task.judge, []).seen(20).prompts == []


def test_prompts_that_training_saw_are_counted() -> None:
    data, judge = Digits(0, 600, 12), Judge.load(EMBEDDED / "digit_judge")
    assert TextToImage(data, judge, [], ("digit",)).repeated(12) == 0

    class Leaking:
        fingerprint, train, test = "leaking", data.train, data.train

    assert TextToImage(Leaking(), judge, [], ("digit",)).repeated(12) == 12


def test_a_label_that_the_judge_does_not_name_is_refused() -> None:
    task = UnconditionalImage(Digits(0, 12, 4), Judge.load(EMBEDDED / "digit_judge"), [], ("klass",))
    with pytest.raises(Refusal, match="'klass', the judge names digit, foreground, background"):
        task.judged(task.test(2).media)


def test_judging_is_exact_whatever_the_job_computes_in() -> None:
    task = TextToImage(Digits(0, 12, 4), Judge.load(EMBEDDED / "digit_judge"), [], ("digit",))
    media = task.test(4).media
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = task.judged(media)
    assert torch.equal(mixed.features, task.judged(media).features)


def test_a_judge_that_listens_otherwise_is_another() -> None:
    """Settings that are no weights count as well."""
    found = set()
    for floor in (0.3, 0.1):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            listener = Listener({"timbre": ["a", "b"]}, rate=8000, floor=floor)
        found.add(
            UnconditionalAudio(Notes(train_size=2, test_size=2), listener, [], rate=8000).judge_fingerprint()
        )
    assert len(found) == 2
