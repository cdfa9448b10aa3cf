"""Small grey digits: nothing but (seed, i, split) behind them, and the coloured digits' maps, weaker."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from prunelab.core.draws import generator
from prunelab.data.grey_digits import GreyDigits
from prunelab.data.handwriting import DIGITS, sources, warp

SMALL = GreyDigits(train_size=40, test_size=30)


def test_an_item_depends_on_the_seed_its_number_and_the_split_only() -> None:
    few, more = SMALL.train()[:], GreyDigits(train_size=60, test_size=1).train()[:40]
    assert np.array_equal(few["image"], more["image"])
    assert np.array_equal(few["digit"], more["digit"])
    assert not np.array_equal(few["image"][:30], SMALL.test()[:]["image"])
    assert not np.array_equal(few["image"], GreyDigits(seed=1, train_size=40).train()[:]["image"])


def test_columns() -> None:
    data = SMALL.train()
    assert data.column_names == ["image", "digit"]
    assert data.features["image"].dtype == "uint8"
    assert data.features["image"].shape == (1, 16, 16)
    assert data.features["digit"].names == list(DIGITS)


def test_an_item_is_a_warped_source_shrunk() -> None:
    images, digits = sources("test")
    row = SMALL.test()[7]
    uniform = torch.rand(7, generator=generator(0, 7, "grey digits/test"))
    source = int(uniform[0] * len(images))
    large = warp(images[source : source + 1], 0.3 * (2 * uniform[None, 1:] - 1))[0, 0]
    shrunk = (large[0::2, 0::2] + large[0::2, 1::2] + large[1::2, 0::2] + large[1::2, 1::2]) / 4
    assert np.abs(row["image"][0] - 255 * shrunk.numpy()).max() <= 0.51
    assert row["digit"] == digits[source]


def test_without_strength_every_source_has_one_picture() -> None:
    items = GreyDigits(train_size=40, strength=0).train()[:]
    plain = F.avg_pool2d(warp(sources("train")[0], torch.zeros(1500, 6)), 2).mul(255).round()
    known = {picture.tobytes() for picture in plain.to(torch.uint8).numpy()}
    assert {picture.astype(np.uint8).tobytes() for picture in items["image"]} <= known


def test_the_fingerprint_names_the_content() -> None:
    others = (GreyDigits(seed=1), SMALL, GreyDigits(strength=0.5))
    assert GreyDigits().fingerprint == GreyDigits(seed=0).fingerprint
    assert len({GreyDigits().fingerprint, *(each.fingerprint for each in others)}) == 4


def test_the_pictures_are_still_those_of_this_version() -> None:
    """Raise ``GreyDigits.VERSION`` when this changes: other pictures need another fingerprint."""
    assert SMALL.train()[:]["image"].mean() == pytest.approx(49.9174, abs=0.001)
