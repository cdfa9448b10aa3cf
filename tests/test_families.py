"""A small instance of every family that this machine can build: saved, reopened by its path alone, called."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from families import FAMILIES, NOT_BUILT, Small


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Pipelines warn of tokenizers' classes and of prompts cut short, which is what small ones do."""
    before = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    yield
    diffusers_logging.set_verbosity(before)


def numbers(output: Any) -> np.ndarray:
    """The first field of what a pipeline returns, a batch of media."""
    media = output[0]
    return np.asarray(media[0] if isinstance(media, list) else media)


@pytest.mark.parametrize("name", FAMILIES)
def test_saved_reopened_by_path_and_called(name: str, family: Callable[[str], tuple[Small, Path]]) -> None:
    small, folder = family(name)
    opened = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    opened.set_progress_bar_config(disable=True)
    assert type(opened) is type(small.pipeline)
    saved = getattr(small.pipeline, small.denoiser).state_dict()
    for key, value in getattr(opened, small.denoiser).state_dict().items():
        assert torch.equal(value, saved[key]), key
    sampled = numbers(opened(**small.arguments()))
    assert np.isfinite(sampled).all()
    assert sampled.std() > 0


def test_families_are_drawn_from_a_seed_and_hide_nothing_behind_zeros() -> None:
    one, other = (FAMILIES["pixart_alpha"]().pipeline.transformer.state_dict() for _ in range(2))
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    assert not any((value == 0).all() for value in one.values())


def test_what_is_not_built_is_listed_with_its_reason() -> None:
    assert len(FAMILIES) >= 30
    assert not set(FAMILIES) & set(NOT_BUILT)
    assert all(NOT_BUILT.values())
