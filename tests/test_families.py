"""A small instance of every family that this machine can build: saved, reopened by its path alone, called."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
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


def why_not(kind: Any) -> str | None:
    """The reason for which there is no small instance of a pipeline's class; None where there is none."""
    if ".deprecated." in kind.__module__:
        return "is deprecated"
    return next((why for why, names in NOT_BUILT.items() if re.search(names, kind.__name__)), None)


def test_every_pipeline_of_diffusers_is_built_or_listed_with_the_reason(
    family: Callable[[str], tuple[Small, Path]],
) -> None:
    built = {type(family(name)[0].pipeline) for name in FAMILIES}
    kinds = [getattr(diffusers, name) for name in dir(diffusers) if name.endswith("Pipeline")]
    pipelines = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, DiffusionPipeline)}
    unexplained = pipelines - built - {DiffusionPipeline}
    assert [kind.__name__ for kind in unexplained if why_not(kind) is None] == []
    assert len(built) >= 50
