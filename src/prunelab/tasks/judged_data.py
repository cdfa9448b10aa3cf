"""What all tasks do alike: examples from two splits, and a judge who names what samples show."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from prunelab.core.digests import digest
from prunelab.core.draws import order
from prunelab.core.errors import Refusal
from prunelab.core.metric import Metric
from prunelab.core.tasks import Asked, Data, Examples, Judge, Judgement, Split

PASSES = 8  # training examples that are looked through for each distinct caption


@dataclass(frozen=True)
class JudgedData:
    """The common part of the tasks.

    labels: what the judge names and, of captioned data, columns with the classes that the captions ask for.
    about: images or sounds. column: where the media are. captioned: whether there is a caption beside them.
    dtype: of stored media.
    """

    data: Data
    judge: Judge
    metrics: Sequence[Metric]
    labels: Sequence[str] = ()

    about: ClassVar[str]
    column: ClassVar[str]
    captioned: ClassVar[bool] = False
    dtype: ClassVar[torch.dtype] = torch.uint8

    @property
    def has_media(self) -> bool:
        """Whether there are real examples, or prompts alone."""
        return not self.captioned or self.column in self._train.column_names

    def check(self, held_out: int, media: bool = True) -> None:
        """See :class:`prunelab.core.tasks.Task`."""
        self.check_judge()
        needed = ("caption", *self.labels) if self.captioned else ()
        for split in (self._train, self._test):
            missing = [name for name in needed if name not in split.column_names]
            if missing:
                raise Refusal(
                    f"the data has no column {missing[0]!r} (it has {', '.join(split.column_names)}): this "
                    f"task needs {', '.join((self.column, *needed))}; see data.caption_column and task.labels"
                )
            if self.captioned:
                split.select_columns(["caption"])[:]  # refused where one is missing
            if media:
                _check_media(split, self.column)
        self._check_enough(held_out)

    def check_judge(self) -> None:
        """Refuse a judge of something else, as far as it says what it takes: nothing has been opened yet."""
        self._check_named(getattr(self.judge, "labels", self.labels))
        takes, given = getattr(self.judge, "channels", None), getattr(self.data, "channels", None)
        if None not in (takes, given) and takes != given:
            raise Refusal(
                f"the judge looks at {self.about} of channels: {takes}, the data has channels: {given}: "
                "choose data (data=..., data.channels=...) and a judge (judge=...) that fit"
            )

    def _check_named(self, named: Iterable[str]) -> None:
        unknown = [name for name in self.labels if name not in named]
        if unknown:
            names = ", ".join(named) or "nothing"
            raise Refusal(f"task.labels has {unknown[0]!r}, the judge names {names}: choose among these")

    def fingerprint(self) -> str:
        """What of the data decides results; read without its captions, the same data are others."""
        read = f"{self.column} and caption" if self.captioned else self.column
        return f"{self.data.fingerprint} ({read})"

    def judge_fingerprint(self) -> str:
        """A hash of the judge's weights."""
        return self._judge_digest

    def train(self, count: int) -> Examples:
        """The first ``count`` training examples (all, where there are fewer)."""
        return self._examples(self._train, count)

    def test(self, count: int) -> Examples:
        """The first ``count`` held-out examples."""
        self._check_enough(count)
        return self._examples(self._test, count)

    def prompts(self, count: int) -> list[str]:
        """The first ``count`` held-out captions; empty texts where there are none."""
        if not self.captioned:
            return [""] * count
        self._check_enough(count)
        return list(self._test.select_columns(["caption"])[:count]["caption"])

    def asked(self, count: int) -> dict[str, Tensor]:
        """Label -> the classes that the first ``count`` held-out captions ask for; empty without captions."""
        if not self.captioned or not self.labels:
            return {}
        rows = self._test.select_columns(list(self.labels))[:count]
        return {name: torch.as_tensor(rows[name]) for name in self.labels}

    def seen(self, count: int) -> Asked:
        """Distinct captions among the first training examples, and the classes they ask for."""
        if not self.captioned or not count:
            return Asked([], {})
        rows = self._train.select_columns(["caption", *self.labels])[: min(PASSES * count, len(self._train))]
        first = {caption: row for row, caption in reversed(list(enumerate(rows["caption"])))}
        chosen = sorted(first.values())[:count]
        labels = {name: torch.as_tensor(rows[name])[chosen] for name in self.labels}
        return Asked([rows["caption"][row] for row in chosen], labels)

    def repeated(self, count: int) -> int:
        """How many of the first held-out captions occur in the training split."""
        if not self.captioned:
            return 0
        known = set(self._train.select_columns(["caption"])[:]["caption"])
        return sum(prompt in known for prompt in self.prompts(count))

    def calibration(self, seed: int) -> "ShuffledExamples":
        """Examples of the training split in an order of their own, for scorers."""
        return ShuffledExamples(self._train, seed, self.column, self.captioned, self.dtype)

    def judged(self, media: Tensor) -> Judgement:
        """Features and, per label, the class the judge sees in each of the media, and how surely."""
        # Samples are judged within a job's precision, real media outside of it: all without autocast.
        with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            features, logits = self.judge(media)
        self._check_named(logits)
        surest = {name: logits[name].float().softmax(dim=1).cpu().max(dim=1) for name in self.labels}
        return Judgement(
            features.cpu(),
            {name: best.indices for name, best in surest.items()},
            {name: best.values for name, best in surest.items()},
        )

    @cached_property
    def _judge_digest(self) -> str:
        settings = json.dumps(self.judge.config() if hasattr(self.judge, "config") else {}, sort_keys=True)
        return f"{digest(self.judge.state_dict())} {hashlib.sha256(settings.encode()).hexdigest()}"

    @cached_property
    def _train(self) -> Split:
        return self.data.train()

    @cached_property
    def _test(self) -> Split:
        return self.data.test()

    def _check_enough(self, count: int) -> None:
        there = len(self._test)
        if count > there:
            raise Refusal(
                f"the evaluation asks for {count} held-out examples, the data has {there}: "
                "lower evaluation.samples, evaluation.real and evaluation.held_out"
            )

    def _examples(self, split: Split, count: int) -> Examples:
        count = min(count, len(split))

        def media() -> Tensor:
            _check_media(split, self.column)
            rows = split.select_columns([self.column])[:count]
            return torch.as_tensor(rows[self.column]).to(self.dtype)

        captions = list(split.select_columns(["caption"])[:count]["caption"]) if self.captioned else None
        return Examples(media, captions or [""] * count)


def _check_media(split: Split, column: str) -> None:
    """Refuse to look at media where there are only prompts."""
    if column not in split.column_names:
        raise Refusal(
            f"the data has no column {column!r} (it has {', '.join(split.column_names)}): there is nothing "
            "real to look at; data of a task with captions may be prompts alone (data=prompt_list)"
        )


@dataclass(frozen=True)
class ShuffledExamples:
    """Examples of a split by draw number: draw i is the i-th of the split's seeded order."""

    split: Split
    seed: int
    column: str = "image"
    captioned: bool = True
    dtype: torch.dtype = torch.uint8

    def prompts(self, draws: range) -> list[str]:
        """The captions of these draws (empty texts without any); past the end the split starts again."""
        if not self.captioned:
            return [""] * len(draws)
        return list(self.split.select_columns(["caption"])[self.rows(draws)]["caption"])

    def media(self, draws: range) -> Tensor:
        """The media of these draws, as stored: images uint8 (n, channels, H, W)."""
        _check_media(self.split, self.column)
        rows = self.split.select_columns([self.column])[self.rows(draws)]
        return torch.as_tensor(rows[self.column]).to(self.dtype)

    def rows(self, draws: range) -> list[int]:
        """Where in the split these draws are."""
        permutation = order(len(self.split), self.seed, 0, "calibration order")
        return [int(permutation[i % len(self.split)]) for i in draws]
