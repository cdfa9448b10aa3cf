"""What a pipeline gives its denoiser first, written down instead of computed."""

import inspect
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch.utils._pytree import tree_map_only

from prunelab.costs.answering import Answering


class Reached(BaseException):
    """The denoiser's first call, which ends the recording."""


def first_call(pipeline: DiffusionPipeline, denoiser: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The shapes of what the pipeline gives its denoiser first."""
    module = getattr(pipeline, denoiser)
    signature = inspect.signature(module.forward)
    seen: dict[str, Any] = {}

    def forward(*args: Any, **kwargs: Any) -> None:
        seen.update(signature.bind(*args, **kwargs).arguments)
        raise Reached

    module.forward = forward
    try:
        with pytest.raises(Reached), torch.no_grad(), Answering():
            inspect.unwrap(type(pipeline).__call__)(pipeline, **arguments)
    finally:
        del module.forward
    return tree_map_only(torch.Tensor, lambda tensor: tuple(tensor.shape), seen)
