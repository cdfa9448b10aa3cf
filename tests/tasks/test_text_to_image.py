"""Calibration: prompts and pictures of the same draws."""

import torch

from prunelab.data.digits import Digits
from prunelab.tasks.judged_data import ShuffledExamples


def test_prompts_and_pictures_belong_together() -> None:
    split = Digits(0, 12, 4).train()
    rows = split.with_format("torch")[:]
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
