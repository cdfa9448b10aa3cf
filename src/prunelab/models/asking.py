"""How a pipeline's call is asked: the arguments that prompts, steps and guidance become for its class."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from diffusers import DiffusionPipeline
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.models.seams import repeated, takes

IMAGENET_NULL = 1000  # what DiTPipeline starts guidance from
SOUNDS = ("audio_length_in_s", "audio_end_in_s")
VIDEOS = ("num_frames", "video_length", "frames")


def is_prompted(pipeline: DiffusionPipeline) -> bool:
    """Whether it is told what to make, by texts or by class numbers."""
    names = takes(type(pipeline))
    return "prompt" in names or ("class_labels" in names and null_class(pipeline) is not None)


def null_class(pipeline: DiffusionPipeline) -> int | None:
    """The class that stands for none; None where the pipeline has no classes."""
    imagenet = IMAGENET_NULL if hasattr(pipeline, "get_label_ids") else None
    found: int | None = getattr(pipeline, "null_class", imagenet)
    return found


def makes(pipeline: DiffusionPipeline) -> str:
    """images, sounds or videos, by what its call can be asked for."""
    names = takes(type(pipeline))
    if any(name in names for name in SOUNDS):
        return "sounds"
    return "videos" if any(name in names for name in VIDEOS) else "images"


def asked(
    pipeline: DiffusionPipeline,
    names: Collection[str],
    name: str,
    prompts: Sequence[str] | None,
    batch: int,
    *,
    steps: int,
    guidance: float,
    call: Mapping[str, Any],
) -> dict[str, Any]:
    """Keyword arguments of one call for ``batch`` samples, under the ``call``'s own.

    names: of what it takes. prompts: one per sample; None where the model, called ``name``, is unconditional.
    Raises Refusal for what is no class.
    """
    given: dict[str, Any] = {"num_inference_steps": steps, "guidance_scale": guidance, "return_dict": False}
    if prompts is not None:
        given["prompt"] = list(prompts)
        given["class_labels"] = _classes(pipeline, name, prompts) if "prompt" not in names else None
    given["batch_size"] = batch
    own = {key: repeated(each, batch) if isinstance(each, Tensor) else each for key, each in call.items()}
    return {**own, **{key: value for key, value in given.items() if key in names}}


def _classes(pipeline: DiffusionPipeline, name: str, prompts: Sequence[str]) -> list[int]:
    """Class numbers; the empty prompt is the null class."""
    null = null_class(pipeline)
    assert null is not None
    return [_number(name, prompt, null - 1) if prompt else null for prompt in prompts]


def _number(name: str, prompt: str, last: int) -> int:
    if not (prompt.isdecimal() and int(prompt) <= last):
        raise Refusal(
            f"{prompt!r} is no class of {name}, whose prompts are class numbers from 0 to {last}: "
            "name their column (data.caption_column=label)"
        )
    return int(prompt)
