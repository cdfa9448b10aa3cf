"""Captioned coloured digits, made on the spot from scikit-learn's handwritten digits.

Every item is one of these images under a random affine map (see :mod:`prunelab.data.handwriting`), enlarged
to 32 x 32 pixels and painted in one of 8 colours on one of 8 backgrounds. Of the 640 combinations of a digit
and two colours, 400 are seen in training and the other 240 are held out: the test split has them alone, so no
training, calibration or recovery ever saw its captions. Of two parts of a combination, each pair is seen.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunelab.core.draws import visits
from prunelab.core.settings import settings
from prunelab.data.handwriting import DIGITS, SIZE, sources, warp
from prunelab.data.made import Made, MadeData, drawn

if TYPE_CHECKING:
    from datasets import Features

LABELS = ("digit", "foreground", "background")
FOREGROUNDS = {
    "red": (235, 50, 45),
    "orange": (245, 140, 30),
    "yellow": (250, 220, 50),
    "green": (60, 205, 75),
    "cyan": (60, 205, 235),
    "violet": (175, 120, 250),
    "pink": (250, 140, 195),
    "white": (245, 245, 245),
}
BACKGROUNDS = {
    "black": (15, 15, 20),
    "blue": (30, 45, 165),
    "purple": (95, 30, 125),
    "maroon": (115, 15, 35),
    "brown": (100, 60, 25),
    "olive": (85, 95, 15),
    "teal": (10, 95, 95),
    "grey": (100, 105, 110),
}
HELD_OUT = (0, 3, 5)  # of the 8 classes of (foreground - background + digit) modulo 8


@settings
class Digits(MadeData):
    """Columns image (uint8, 3 x 32 x 32), caption (str) and the three LABELS (class numbers).

    The test split is of handwritten images and of combinations that the training split never sees.
    """

    NAME, VERSION = "digits", 2

    def made(self, items: int, split: str) -> Made:
        """See :class:`MadeData`."""
        return _split(self.seed, items, split)


@lru_cache(maxsize=4)
def _split(seed: int, items: int, split: str) -> Made:
    """One split, whose pictures are painted when they are looked at."""
    known = combinations(split)
    asked = known[visits(range(items), len(known), seed, f"digits/{split}/combinations")]

    def pictures(rows: Sequence[int]) -> dict[str, Any]:
        digits, foreground, background = asked[list(rows)].unbind(dim=1)
        uniform = drawn(rows, 7, f"digits/{split}", seed)
        opacity = warp(_written(split, digits, uniform[:, 0]), uniform[:, 1:] * 2 - 1)
        return {"image": _paint(opacity, foreground, background).numpy()}

    def captions(rows: Sequence[int]) -> dict[str, Any]:
        return {"caption": [caption(*labels) for labels in asked[list(rows)].tolist()]}

    def labels(rows: Sequence[int]) -> dict[str, Any]:
        return dict(zip(LABELS, asked[list(rows)].T.numpy(), strict=True))

    return Made(items, {"image": pictures, "caption": captions, **dict.fromkeys(LABELS, labels)}, _features)


def combinations(split: str) -> Tensor:
    """Class numbers (n, 3) of every digit, foreground and background that captions of a split name."""
    sizes = (len(DIGITS), len(FOREGROUNDS), len(BACKGROUNDS))
    every = torch.cartesian_prod(*(torch.arange(size) for size in sizes))
    kind = (every[:, 1] - every[:, 2] + every[:, 0]) % len(BACKGROUNDS)
    held_out = torch.isin(kind, torch.tensor(HELD_OUT))
    return every[held_out if split == "test" else ~held_out]


def _written(split: str, digits: Tensor, uniform: Tensor) -> Tensor:
    """A handwritten image (n, 1, 8, 8) of each digit (n,), chosen among the split's by ``uniform``."""
    images, names = sources(split)
    images, counts = images[names.argsort(stable=True)], names.bincount(minlength=len(DIGITS))
    chosen = (uniform * counts[digits]).long().clamp_(max=counts[digits] - 1)
    return images[(counts.cumsum(0) - counts)[digits] + chosen]


def caption(digit: int | Tensor, foreground: int | Tensor, background: int | Tensor) -> str:
    """The caption of the given class numbers, such as "a red seven on a blue background"."""
    colour, ground = list(FOREGROUNDS)[int(foreground)], list(BACKGROUNDS)[int(background)]
    return f"a {colour} {DIGITS[int(digit)]} on a {ground} background"


def _features() -> "Features":
    from datasets import Array3D, ClassLabel, Features, Value

    return Features(
        {
            "image": Array3D((3, SIZE, SIZE), "uint8"),
            "caption": Value("string"),
            "digit": ClassLabel(names=list(DIGITS)),
            "foreground": ClassLabel(names=list(FOREGROUNDS)),
            "background": ClassLabel(names=list(BACKGROUNDS)),
        }
    )


def _paint(opacity: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """Opacity (n, 1, h, w) and class numbers (n,) as uint8 pictures (n, 3, h, w)."""
    ink = torch.tensor(list(FOREGROUNDS.values()), dtype=torch.float32)[foreground, :, None, None]
    paper = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32)[background, :, None, None]
    return torch.lerp(paper, ink, opacity).round().to(torch.uint8)
