"""The promise that every task keeps, and what passes between it and the stages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

from torch import Tensor

from prunelab.core.metric import Metric
from prunelab.core.previews import Preview
from prunelab.core.protocols import Calibration


class Split(Protocol):
    """Rows by number, as a ``datasets.Dataset`` in numpy or torch format gives them."""

    @property
    def column_names(self) -> list[str]:
        """The columns there are."""

    def __len__(self) -> int:
        """The number of rows."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Column -> values, of a slice or a list of row numbers."""

    def select_columns(self, columns: list[str]) -> "Split":
        """The same rows with these columns alone, so that no others are read."""


class Data(Protocol):
    """Two splits with a column of media, and what else the task names."""

    @property
    def fingerprint(self) -> str:
        """A hash of what decides the content of both splits."""

    def train(self) -> Split:
        """The split that calibration and recovery see."""

    def test(self) -> Split:
        """The split that evaluation sees."""


class Judge(Protocol):
    """The feature network: stored media to features (n, d) and logits (n, classes) per label."""

    def __call__(self, media: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Features, and logits by label name."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """The weights, which the address of every judgement names."""


class Examples:
    """media: (n, ...) as the task stores them; prompts: n captions, empty where nothing is asked for.

    Media may be given as a function that reads them, which is called when they are looked at. latents: of
    what a model made itself, so that nothing has to be encoded.
    """

    def __init__(
        self, media: Tensor | Callable[[], Tensor], prompts: list[str], latents: Tensor | None = None
    ) -> None:
        self._media, self.prompts, self.latents = media, prompts, latents

    @cached_property
    def media(self) -> Tensor:
        """(n, ...), read now if they were not before."""
        return self._media if isinstance(self._media, Tensor) else self._media()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.prompts)


@dataclass(frozen=True)
class Asked:
    """prompts: n texts; labels: name -> the class that each asks for, int64 (n,), empty where nothing is."""

    prompts: list[str]
    labels: dict[str, Tensor]


@dataclass(frozen=True)
class Judgement:
    """What the judge says of n media.

    features: (n, d). predictions: label -> class, int64 (n,). confidences: label -> its softmax probability.
    """

    features: Tensor
    predictions: dict[str, Tensor]
    confidences: dict[str, Tensor]


class Task(Protocol):
    """Where examples come from, how samples are stored and looked at, who judges them, by which metrics.

    Everything else is the same for all tasks.
    """

    about: ClassVar[str]  # images or sounds
    captioned: ClassVar[bool]  # whether prompts are given

    @property
    def metrics(self) -> Sequence[Metric]:
        """What evaluation measures."""

    @property
    def labels(self) -> Sequence[str]:
        """What the judge names."""

    @property
    def has_media(self) -> bool:
        """Whether there are real examples, or prompts alone."""

    def check(self, held_out: int, media: bool = True) -> None:
        """Refuse data without the needed columns or the ``held_out`` examples, before anything runs.

        ``media``: whether media are looked at; else prompts are enough where the task has any.
        """

    def fingerprint(self) -> str:
        """What of the data decides results."""

    def judge_fingerprint(self) -> str:
        """A hash of the judge's weights."""

    def train(self, count: int) -> Examples:
        """The first ``count`` training examples (all, where there are fewer)."""

    def test(self, count: int) -> Examples:
        """The first ``count`` held-out examples."""

    def prompts(self, count: int) -> list[str]:
        """What the first ``count`` samples are asked to show; empty texts where nothing is asked for."""

    def asked(self, count: int) -> dict[str, Tensor]:
        """What the first ``count`` prompts ask for: label -> int64 (count,), empty where nothing is."""

    def seen(self, count: int) -> Asked:
        """The first ``count`` distinct prompts of the training split; none where nothing is asked for."""

    def repeated(self, count: int) -> int:
        """How many of the first ``count`` prompts occur in the training split, and so are not held out."""

    def calibration(self, seed: int) -> Calibration:
        """Examples of the training split in an order of their own, for scorers."""

    def stored(self, media: Tensor) -> Tensor:
        """A model's decoded media, float32, as samples keep them: whole numbers."""

    def judged(self, media: Tensor) -> Judgement:
        """What the judge says of stored media."""

    def preview(self, state: str, media: Tensor, captions: Sequence[str]) -> Preview:
        """Stored media of one model for people."""
