"""What data have to have, depending on what is looked at."""

import datasets
import pytest
import torch
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.judges.classifier import Judge as SmallJudge
from prunelab.judges.listener import Listener
from prunelab.tasks.judged_data import ShuffledExamples
from prunelab.tasks.text_to_image import TextToImage
from prunelab.tasks.unconditional_audio import UnconditionalAudio
from prunelab.tasks.unconditional_image import UnconditionalImage


class Table:
    """Both splits are one table of five rows."""

    fingerprint = "five"

    def __init__(self, *columns: str) -> None:
        self.columns = {name: ["x"] * 5 if name == "caption" else [[0]] * 5 for name in columns}

    def train(self) -> datasets.Dataset:
        return datasets.Dataset.from_dict(self.columns)

    test = train


class Judge(torch.nn.Linear):
    def forward(self, media: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return super().forward(media), {}


def task(kind: type, *columns: str, labels: tuple[str, ...] = ()) -> TextToImage:
    made: TextToImage = kind(Table(*columns), Judge(2, 2), [], labels)
    return made


def test_prompts_are_enough_where_no_media_are_looked_at() -> None:
    prompts = task(TextToImage, "caption")
    prompts.check(5, media=False)
    assert prompts.prompts(2) == ["x", "x"]
    with pytest.raises(Refusal, match=r"no column 'image' .*data=prompt_list"):
        prompts.check(5)
    with pytest.raises(Refusal, match="no column 'image'"):
        _ = prompts.train(1).media
    with pytest.raises(Refusal, match="no column 'image'"):
        ShuffledExamples(prompts.data.train(), 0).media(range(2))


def test_captions_and_labels_are_needed_whatever_is_looked_at() -> None:
    for media in (True, False):
        with pytest.raises(Refusal, match=r"no column 'caption' .*data\.caption_column"):
            task(TextToImage, "image").check(1, media)
        with pytest.raises(Refusal, match=r"no column 'digit' .*task\.labels"):
            task(TextToImage, "image", "caption", labels=("digit",)).check(1, media)
        task(UnconditionalImage, "image").check(1, media)


def test_a_missing_caption_ends_captioned_tasks_alone() -> None:
    class Unread(datasets.Dataset):
        """Its captions cannot be read."""

        def select_columns(self, columns: list[str]) -> datasets.Dataset:
            if "caption" in columns:
                raise Refusal("3.png (no caption)")
            return super().select_columns(columns)

    class Data(Table):
        def train(self) -> datasets.Dataset:
            return Unread(super().train().data)

        test = train

    data = Data("image", "caption")
    with pytest.raises(Refusal, match="no caption"):
        TextToImage(data, Judge(2, 2), []).check(1)
    unconditional = UnconditionalImage(data, Judge(2, 2), [])
    unconditional.check(1)
    assert len(unconditional.train(2).media) == len(unconditional.test(2).media) == 2


def test_the_judges_weights_identify_it() -> None:
    first = task(UnconditionalImage, "image")
    before = first.judge_fingerprint()
    same, other = task(UnconditionalImage, "image"), task(UnconditionalImage, "image")
    same.judge.load_state_dict(first.judge.state_dict())
    assert same.judge_fingerprint() == before != other.judge_fingerprint()


class Unopened:
    """Data that say what they are, and must not be opened to find out."""

    fingerprint = "unopened"

    def __init__(self, **told: int) -> None:
        self.__dict__.update(told)

    def train(self) -> datasets.Dataset:
        raise AssertionError("the data were opened")

    test = train


def test_a_judge_that_does_not_fit_is_refused_before_data_are_opened() -> None:
    judge = SmallJudge({"digit": "ab"}, widths=(8,), channels=3)
    with pytest.raises(Refusal, match=r"task\.labels has 'ink', the judge names digit"):
        UnconditionalImage(Unopened(), judge, [], ("ink",)).check(1)
    with pytest.raises(Refusal, match=r"images of channels: 3, the data has channels: 1.*judge=\.\.\."):
        UnconditionalImage(Unopened(channels=1), judge, [], ("digit",)).check(1)
    ear = Listener({"pitch": "ab"}, rate=16000, widths=(8,))
    with pytest.raises(Refusal, match=r"8000 samples a second, the judge takes 16000"):
        UnconditionalAudio(Unopened(rate=8000), ear, [], ("pitch",), rate=8000).check(1)
    with pytest.raises(Refusal, match=r"16000 samples a second, the data takes 8000"):
        UnconditionalAudio(Unopened(rate=8000), ear, [], ("pitch",), rate=16000).check(1)
