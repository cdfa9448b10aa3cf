"""Captioned coloured digits, made on the spot from scikit-learn's handwritten digits.

Source: the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, UCI machine
learning repository, CC BY 4.0), which scikit-learn carries: 1797 grey images of 8 x 8 pixels. 1500 of them
feed the training split and the other 297 the test split. Every item is one of these images under a random
affine map, enlarged to 32 x 32 pixels and painted in one of 6 colours on one of 5 backgrounds.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import torch
from datasets import Array3D, ClassLabel, Dataset, Features, Value
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from prunelab.core.draws import generator

VERSION = 1  # part of the fingerprint: raise it when the same settings give other pictures
LABELS = ("digit", "foreground", "background")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FOREGROUNDS = {
    "red": (235, 50, 45),
    "green": (60, 205, 75),
    "yellow": (250, 220, 50),
    "cyan": (60, 205, 235),
    "pink": (250, 140, 195),
    "white": (245, 245, 245),
}
BACKGROUNDS = {
    "black": (15, 15, 20),
    "blue": (30, 45, 165),
    "purple": (95, 30, 125),
    "brown": (100, 60, 25),
    "grey": (100, 105, 110),
}
SOURCE_TRAIN = 1500  # of the 1797 handwritten images; the other 297 are the test split's
SIZE = 32  # pixels along either side
ROTATION, SHEAR, SHIFT = math.radians(12), 0.15, 0.15  # largest absolute values; SHIFT in half widths
SCALE = (0.7, 0.9)


@dataclass(frozen=True)
class Digits:
    """Captioned coloured digits; item i of a split depends on ``(seed, i, split)`` alone.

    seed: which pictures are drawn. train_size, test_size: how many items either split has.
    """

    seed: int = 0
    train_size: int = 15000
    test_size: int = 2000

    def train(self) -> Dataset:
        """Columns image (uint8, 3 x 32 x 32), caption (str) and the three LABELS (class numbers).

        Rows are read as numpy arrays; ``datasets`` widens whole numbers to int64 on the way.
        """
        return _split(self.seed, self.train_size, "train")

    def test(self) -> Dataset:
        """As ``train``, drawn from the handwritten images that the training split never sees."""
        return _split(self.seed, self.test_size, "test")

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides the content of the two splits."""
        content = {"data": "digits", "version": VERSION, **asdict(self)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _split(seed: int, items: int, split: str) -> Dataset:
    """One split, in memory: nothing is written to a cache folder."""
    generators = (generator(seed, i, f"digits/{split}") for i in range(items))
    uniform = torch.stack([torch.rand(9, generator=each) for each in generators])
    sources, digits = _sources(split)
    source = _pick(uniform[:, 0], len(sources))
    foreground, background = _pick(uniform[:, 1], len(FOREGROUNDS)), _pick(uniform[:, 2], len(BACKGROUNDS))
    opacity = _warp(sources[source], uniform[:, 3:] * 2 - 1)
    columns = {
        "image": _paint(opacity, foreground, background).numpy(),
        "caption": [caption(*labels) for labels in zip(digits[source], foreground, background, strict=True)],
        "digit": digits[source].numpy(),
        "foreground": foreground.numpy(),
        "background": background.numpy(),
    }
    return Dataset.from_dict(columns, features=_features()).with_format("numpy")


def caption(digit: int | Tensor, foreground: int | Tensor, background: int | Tensor) -> str:
    """The caption of the given class numbers, such as "a red seven on a blue background"."""
    colour, ground = list(FOREGROUNDS)[int(foreground)], list(BACKGROUNDS)[int(background)]
    return f"a {colour} {DIGITS[int(digit)]} on a {ground} background"


def _features() -> Features:
    return Features(
        {
            "image": Array3D((3, SIZE, SIZE), "uint8"),
            "caption": Value("string"),
            "digit": ClassLabel(names=list(DIGITS)),
            "foreground": ClassLabel(names=list(FOREGROUNDS)),
            "background": ClassLabel(names=list(BACKGROUNDS)),
        }
    )


def _sources(split: str) -> tuple[Tensor, Tensor]:
    """Grey images in [0, 1] of shape (n, 1, 8, 8) and their digits (n,); the two splits share none.

    The files come sorted by writer, so they are shuffled (always in the same order) before the cut.
    """
    handwritten = load_digits()
    shuffled = torch.randperm(len(handwritten.images), generator=generator(0, 0, "digits/sources"))
    chosen = shuffled[:SOURCE_TRAIN] if split == "train" else shuffled[SOURCE_TRAIN:]
    images = torch.from_numpy(handwritten.images.astype(np.float32) / 16)[:, None]
    return images[chosen], torch.from_numpy(handwritten.target)[chosen]


def _pick(uniform: Tensor, size: int) -> Tensor:
    """Uniform numbers in [0, 1) as integers in [0, size)."""
    return (uniform * size).long().clamp_(max=size - 1)


def _warp(grey: Tensor, knobs: Tensor) -> Tensor:
    """Grey images (n, 1, 8, 8) under the affine maps of knobs (n, 6) in [-1, 1]: opacity (n, 1, 32, 32)."""
    angle, shear = knobs[:, 0] * ROTATION, knobs[:, 1] * SHEAR
    middle, spread = sum(SCALE) / 2, (SCALE[1] - SCALE[0]) / 2
    wide, tall = middle + spread * knobs[:, 2], middle + spread * knobs[:, 3]
    # grid_sample asks where each output pixel comes from, so this is the inverse of what the eye sees.
    across = torch.stack([angle.cos() / wide, (shear - angle.sin()) / wide, knobs[:, 4] * SHIFT], dim=1)
    down = torch.stack([angle.sin() / tall, angle.cos() / tall, knobs[:, 5] * SHIFT], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), [len(grey), 1, SIZE, SIZE], align_corners=False)
    enlarged = F.interpolate(grey, size=SIZE, mode="bicubic", align_corners=False)
    warped = F.grid_sample(enlarged, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (warped * 1.6 - 0.3).clamp(0, 1)  # steeper strokes: 8 pixels alone give a blur


def _paint(opacity: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """Opacity (n, 1, h, w) and class numbers (n,) as uint8 pictures (n, 3, h, w)."""
    ink = torch.tensor(list(FOREGROUNDS.values()), dtype=torch.float32)[foreground, :, None, None]
    paper = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32)[background, :, None, None]
    return torch.lerp(paper, ink, opacity).round().to(torch.uint8)
