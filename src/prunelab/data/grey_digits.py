"""Small grey handwritten digits without captions: 16 x 16 pixels, one channel, white on black.

Every item is one of scikit-learn's digits under a slight affine map (see :mod:`prunelab.data.handwriting`),
shrunk from 32 x 32 by averaging.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from prunelab.core.settings import Count, NonNegative, Seed, settings
from prunelab.data.handwriting import DIGITS, SIZE, pick, sources, warp
from prunelab.data.made import Made, drawn

if TYPE_CHECKING:
    from datasets import Features

VERSION = 1  # part of the fingerprint: raise it when the same settings give other pictures
SMALLER = 2  # the side of the squares that are averaged


@settings
class GreyDigits:
    """Grey digits; item i of a split depends on ``(seed, i, split)`` alone.

    seed: which pictures are drawn. train_size, test_size: how many items either split has. strength: of the
    affine maps, as a share of those of the coloured digits.
    """

    seed: Seed = 0
    train_size: Count = 15000
    test_size: Count = 2000
    strength: NonNegative = 0.3

    def train(self) -> Made:
        """Columns image (uint8, 1 x 16 x 16) and digit (class number).

        Rows are read as numpy arrays, each picture drawn anew.
        """
        return _split(self.seed, self.train_size, "train", self.strength)

    def test(self) -> Made:
        """As ``train``, drawn from the handwritten images that the training split never sees."""
        return _split(self.seed, self.test_size, "test", self.strength)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides the content of the two splits."""
        content = {"data": "grey digits", "version": VERSION, **asdict(self)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _split(seed: int, items: int, split: str, strength: float) -> Made:
    """One split, whose pictures are drawn when they are looked at."""

    def rows(numbers: Sequence[int]) -> dict[str, Any]:
        uniform = drawn(numbers, 7, f"grey digits/{split}", seed)
        images, digits = sources(split)
        source = pick(uniform[:, 0], len(images))
        opacity = F.avg_pool2d(warp(images[source], strength * (uniform[:, 1:] * 2 - 1)), SMALLER)
        return {"image": (opacity * 255).round().to(torch.uint8).numpy(), "digit": digits[source].numpy()}

    return Made(items, dict.fromkeys(("image", "digit"), rows), _features)


def _features() -> "Features":
    from datasets import Array3D, ClassLabel, Features

    side = SIZE // SMALLER
    return Features({"image": Array3D((1, side, side), "uint8"), "digit": ClassLabel(names=list(DIGITS))})
