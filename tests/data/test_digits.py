"""Captioned coloured digits: the right labels and pictures, and nothing but (seed, i, split) behind them."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from prunelab.data.digits import (
    BACKGROUNDS,
    FOREGROUNDS,
    LABELS,
    Digits,
    caption,
    combinations,
)
from prunelab.data.handwriting import SOURCE_TRAIN, sources, warp

SMALL = Digits(train_size=40, test_size=30)


def test_an_item_depends_on_the_seed_its_number_and_the_split_only() -> None:
    few, more = SMALL.train()[:], Digits(train_size=60, test_size=1).train()[:40]
    assert np.array_equal(few["image"], more["image"])
    assert list(few["caption"]) == list(more["caption"])
    assert not np.array_equal(few["image"][:30], SMALL.test()[:]["image"])
    assert not np.array_equal(few["image"], Digits(seed=1, train_size=40).train()[:]["image"])


def test_columns_and_captions() -> None:
    data = SMALL.train()
    assert data.features["image"].dtype == "uint8"
    assert data.features["image"].shape == (3, 32, 32)
    assert [data.features[label].num_classes for label in LABELS] == [10, 8, 8]
    for item in data:
        names = [data.features[label].int2str(int(item[label])) for label in LABELS]
        assert item["caption"] == "a {1} {0} on a {2} background".format(*names)
    assert caption(7, 0, 1) == "a red seven on a blue background"


def test_the_colours_are_the_named_ones() -> None:
    items = SMALL.test()[:]
    corners = items["image"][:, :, 0, 0]
    assert np.array_equal(corners, np.array(list(BACKGROUNDS.values()))[items["background"]])
    ink = np.array(list(FOREGROUNDS.values()))[items["foreground"]]
    distance = np.abs(items["image"] - ink[:, :, None, None]).sum(1).min((1, 2))
    assert (distance == 0).mean() > 0.9, "nearly every picture has a pixel of pure ink"


def test_labels_are_spread_evenly() -> None:
    items = Digits(train_size=3000).train()[:]
    for label, classes in zip(LABELS, (10, 8, 8), strict=True):
        counts = np.bincount(items[label], minlength=classes)
        assert counts.min() > 0.75 * 3000 / classes


def test_the_splits_share_no_handwriting() -> None:
    (train, digits), (test, _) = sources("train"), sources("test")
    handwritten = load_digits()
    assert (len(train), len(test)) == (SOURCE_TRAIN, len(handwritten.images) - SOURCE_TRAIN)
    both = torch.cat([train, test]).flatten(1)
    everything = torch.from_numpy(handwritten.images.astype(np.float32) / 16).flatten(1)
    assert torch.equal(both.unique(dim=0), everything.unique(dim=0))
    assert len(digits) == SOURCE_TRAIN


def test_the_test_split_asks_for_combinations_that_training_never_saw() -> None:
    data = Digits(train_size=2000, test_size=480)
    seen, held_out = (set(split["caption"]) for split in (data.train(), data.test()))
    assert not seen & held_out
    assert (len(seen), len(held_out)) == (400, 240)
    assert len(set(data.test()[:200]["caption"])) == 200, "the prompts of an evaluation are distinct"


def test_of_any_two_parts_of_a_combination_training_saw_the_pair() -> None:
    seen, everything = combinations("train"), torch.cat([combinations("train"), combinations("test")])
    assert len(everything.unique(dim=0)) == 10 * 8 * 8
    for pair in ([0, 1], [0, 2], [1, 2]):
        assert torch.equal(seen[:, pair].unique(dim=0), everything[:, pair].unique(dim=0))


def test_no_warp_but_the_enlargement() -> None:
    grey = torch.zeros(1, 1, 8, 8)
    grey[:, :, 2:6, 2:6] = 1
    knobs = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    opacity = warp(grey, knobs)[0, 0]
    assert torch.allclose(opacity, opacity.flip(0), atol=1e-5)
    assert torch.allclose(opacity, opacity.T, atol=1e-5)
    assert opacity[16, 16] == 1
    assert (opacity[16] > 0.5).sum() == pytest.approx(16 * 0.8, abs=1), "half the width, at the middle scale"


def test_shifted_right_means_shifted_right() -> None:
    grey = torch.zeros(1, 1, 8, 8)
    grey[:, :, 3:5, 3:5] = 1
    left, right = (warp(grey, torch.tensor([[0.0, 0.0, 0.0, 0.0, s, 0.0]]))[0, 0] for s in (1.0, -1.0))
    columns = torch.arange(32.0)
    assert (left.sum(0) * columns).sum() / left.sum() < 15.5 < (right.sum(0) * columns).sum() / right.sum()


def test_the_fingerprint_names_the_content() -> None:
    assert Digits().fingerprint == Digits(seed=0).fingerprint
    assert len({Digits().fingerprint, Digits(seed=1).fingerprint, SMALL.fingerprint}) == 3


def test_the_pictures_are_still_those_of_this_version() -> None:
    """Raise ``Digits.VERSION`` when this changes: other pictures need another fingerprint."""
    images = SMALL.train()[:]["image"]
    assert images.mean() == pytest.approx(90.1401, abs=0.01)
