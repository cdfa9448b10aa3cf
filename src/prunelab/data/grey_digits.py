"""Small grey handwritten digits without captions: 16 x 16 pixels, one channel, white on black.

Every item is one of scikit-learn's digits under a slight affine map (see :mod:`prunelab.data.handwriting`),
shrunk from 32 x 32 by averaging.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from prunelab.core.settings import NonNegative, settings
from prunelab.data.handwriting import DIGITS, SIZE, sources, warp
from prunelab.data.made import Made, MadeData, drawn, pick

if TYPE_CHECKING:
    from datasets import Features

SMALLER = 2  # the side of the squares that are averaged


@settings
class GreyDigits(MadeData):
    """Columns image (uint8, 1 x 16 x 16) and digit (class number).

    The test split is drawn from the handwritten images that the training split never sees. strength: of the
    affine maps, as a share of those of the coloured digits.
    """

    NAME, VERSION = "grey digits", 1

    strength: NonNegative = 0.3

    def made(self, items: int, split: str) -> Made:
        """See :class:`MadeData`."""
        return _split(self.seed, items, split, self.strength)


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
