"""Scikit-learn's handwritten digits, split into two and bent by random affine maps.

Source: the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, UCI machine
learning repository, CC BY 4.0), which scikit-learn carries: 1797 grey images of 8 x 8 pixels. 1500 of them
feed training splits and the other 297 test splits.
"""

import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from prunelab.core.draws import generator

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SOURCE_TRAIN = 1500  # of the 1797 handwritten images; the other 297 are the test split's
SIZE = 32  # pixels along either side of a warped image
ROTATION, SHEAR, SHIFT = math.radians(12), 0.15, 0.15  # largest absolute values; SHIFT in half widths
SCALE = (0.7, 0.9)


def sources(split: str) -> tuple[Tensor, Tensor]:
    """Grey images in [0, 1] of shape (n, 1, 8, 8) and their digits (n,); the two splits share none.

    The files come sorted by writer, so they are shuffled (always in the same order) before the cut.
    """
    rows = np.loadtxt(_carried(), delimiter=",", dtype=np.int64)  # 64 pixels and the digit
    shuffled = torch.randperm(len(rows), generator=generator(0, 0, "digits/sources"))
    chosen = shuffled[:SOURCE_TRAIN] if split == "train" else shuffled[SOURCE_TRAIN:]
    images = torch.from_numpy(rows[:, :-1].reshape(-1, 1, 8, 8).astype(np.float32) / 16)
    return images[chosen], torch.from_numpy(rows[:, -1])[chosen]


def _carried() -> Path:
    """The file that ``load_digits`` of ``sklearn.datasets`` reads, whose import takes a second."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None  # noqa: PT018  # a dependency
    return Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz"


def warp(grey: Tensor, knobs: Tensor) -> Tensor:
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
