"""Text-to-image: captioned images in, prompts as conditions, pictures and prompt-following out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from prunelab.core.draws import order
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Metric


class Data(Protocol):
    """Two splits with the columns ``image`` and ``caption``, and what else the labels name."""

    fingerprint: str

    def train(self) -> Any:
        """The split that calibration and recovery see."""
        ...

    def test(self) -> Any:
        """The split that evaluation sees."""
        ...


class Judge(Protocol):
    """The feature network: uint8 images to features (n, d) and logits per label."""

    def __call__(self, images: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Features, and logits by label name."""
        ...

    def state_dict(self) -> Mapping[str, Tensor]:
        """The weights, which the address of every judgement names."""
        ...


@dataclass(frozen=True)
class Examples:
    """media: uint8 (n, 3, H, W); prompts: n captions; labels: name -> int64 (n,)."""

    media: Tensor
    prompts: list[str]
    labels: dict[str, Tensor]


@dataclass(frozen=True)
class TextToImage:
    """The task: where its examples come from, who judges its samples, and by which metrics."""

    data: Data
    judge: Judge
    metrics: Sequence[Metric]
    labels: Sequence[str] = ()

    def check(self, held_out: int) -> None:
        """Refuse data without the needed columns or the ``held_out`` examples, before anything runs."""
        for split in (self.data.train(), self.data.test()):
            missing = [name for name in ("image", "caption", *self.labels) if name not in split.column_names]
            if missing:
                raise Refusal(
                    f"the data has no column {missing[0]!r} (it has {', '.join(split.column_names)}): "
                    "a text-to-image task needs image, caption and task.labels"
                )
        self._check_enough(held_out)

    def fingerprint(self) -> str:
        """What of the data decides results."""
        return self.data.fingerprint

    def judge_fingerprint(self) -> str:
        """A hash of the judge's weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.judge.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def train(self, count: int) -> Examples:
        """The first ``count`` training examples (all, where there are fewer)."""
        return self._examples(self.data.train(), range(count))

    def test(self, count: int) -> Examples:
        """The first ``count`` held-out examples."""
        self._check_enough(count)
        return self._examples(self.data.test(), range(count))

    def calibration(self, seed: int) -> "ShuffledExamples":
        """Examples of the training split in an order of their own, for scorers."""
        return ShuffledExamples(self.data.train(), seed)

    def embed(self, media: Tensor) -> Tensor:
        """Features (n, d) of uint8 images."""
        with torch.no_grad():
            return self.judge(media)[0].cpu()

    def judged(self, media: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Features and, per label, the class the judge sees in each image."""
        with torch.no_grad():
            features, logits = self.judge(media)
        return features.cpu(), {name: logits[name].argmax(dim=1).cpu() for name in self.labels}

    def _check_enough(self, count: int) -> None:
        there = len(self.data.test())
        if count > there:
            raise Refusal(
                f"the evaluation asks for {count} held-out examples, the data has {there}: "
                "lower evaluation.samples, evaluation.real and evaluation.held_out"
            )

    def _examples(self, split: Any, indices: range) -> Examples:
        rows = split.with_format("torch")[: min(len(indices), len(split))]
        labels = {name: torch.as_tensor(rows[name]) for name in self.labels}
        return Examples(torch.as_tensor(rows["image"]), list(rows["caption"]), labels)


@dataclass(frozen=True)
class ShuffledExamples:
    """Examples of a split by draw number: draw i is the i-th of the split's seeded order."""

    split: Any
    seed: int

    def prompts(self, draws: range) -> list[str]:
        """The captions of these draws; past the end the split starts again."""
        return list(self.split.select_columns("caption")[self._rows(draws)]["caption"])

    def media(self, draws: range) -> Tensor:
        """The images of these draws, uint8 (n, 3, H, W)."""
        rows = self.split.select_columns("image").with_format("torch")[self._rows(draws)]
        return torch.as_tensor(rows["image"]).to(torch.uint8)

    def _rows(self, draws: range) -> list[int]:
        permutation = order(len(self.split), self.seed, 0, "calibration order")
        return [int(permutation[i % len(self.split)]) for i in draws]
