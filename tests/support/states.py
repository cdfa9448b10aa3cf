"""What a Stable Diffusion's U-Net attends to, as diffusers' own pipeline makes it of prompts."""

from collections.abc import Sequence

from torch import Tensor

from prunelab.models.pipeline import PipelineModel


def states(model: PipelineModel, prompts: Sequence[str]) -> Tensor:
    """(prompts, tokens, width)."""
    found: Tensor = model.pipeline.encode_prompt(list(prompts), model.device(), 1, False)[0]
    return found
