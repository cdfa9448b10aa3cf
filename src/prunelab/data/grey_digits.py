"""Small grey handwritten digits without captions: 16 x 16 pixels, one channel, white on black.

Every item is one of scikit-learn's digits under a slight affine map (see :mod:`prunelab.data.handwriting`),
shrunk from 32 x 32 by averaging.
"""

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache

import torch
from datasets import Array3D, ClassLabel, Dataset, Features
from torch.nn import functional as F

from prunelab.core.draws import generator
from prunelab.core.settings import Count, NonNegative, Seed, settings
from prunelab.data.handwriting import DIGITS, SIZE, pick, sources, warp

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

    def train(self) -> Dataset:
        """Columns image (uint8, 1 x 16 x 16) and digit (class number).

        Rows are read as numpy arrays; ``datasets`` widens whole numbers to int64 on the way.
        """
        return _split(self.seed, self.train_size, "train", self.strength)

    def test(self) -> Dataset:
        """As ``train``, drawn from the handwritten images that the training split never sees."""
        return _split(self.seed, self.test_size, "test", self.strength)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides the content of the two splits."""
        content = {"data": "grey digits", "version": VERSION, **asdict(self)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _split(seed: int, items: int, split: str, strength: float) -> Dataset:
    """One split, in memory: nothing is written to a cache folder."""
    generators = (generator(seed, i, f"grey digits/{split}") for i in range(items))
    uniform = torch.stack([torch.rand(7, generator=each) for each in generators])
    images, digits = sources(split)
    source = pick(uniform[:, 0], len(images))
    opacity = F.avg_pool2d(warp(images[source], strength * (uniform[:, 1:] * 2 - 1)), SMALLER)
    columns = {
        "image": (opacity * 255).round().to(torch.uint8).numpy(),
        "digit": digits[source].numpy(),
    }
    side = SIZE // SMALLER
    features = Features({"image": Array3D((1, side, side), "uint8"), "digit": ClassLabel(names=list(DIGITS))})
    return Dataset.from_dict(columns, features=features).with_format("numpy")
