"""What a small pipeline is: its real classes, random weights, and what one small call of it takes."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import DiffusionPipeline
from torch.overrides import TorchFunctionMode

PROMPT = "a red house"
LABEL = 1


@dataclass(frozen=True)
class Small:
    """A pipeline, and the keyword arguments that one small call of it needs besides its prompt."""

    pipeline: DiffusionPipeline
    call: Mapping[str, Any]
    prompt: Literal["text", "label", "none"] = "text"
    denoiser: str = "transformer"

    def arguments(self, steps: int = 2, seed: int = 0) -> dict[str, Any]:
        """What one call is given: ``steps`` from the noise of ``seed``, a prompt where it takes one."""
        given = {"text": {"prompt": PROMPT}, "label": {"class_labels": [LABEL]}, "none": {}}[self.prompt]
        start = torch.Generator().manual_seed(seed)
        taken = inspect.signature(type(self.pipeline).__call__).parameters
        form = {"output_type": "np"} if "output_type" in taken else {}
        return {**form, "num_inference_steps": steps, "generator": start, **given, **self.call}


def seeded(family: Callable[[], Small]) -> Small:
    """``family`` built from seed 0, with noise on every parameter that is constant when it is new.

    A layer of zeros hides whatever stands before it, and a norm of ones hides which of its channels were cut.
    """
    with torch.random.fork_rng(devices=[]), _Blank():
        torch.manual_seed(0)
        small = family()
        for component in small.pipeline.components.values():
            if isinstance(component, torch.nn.Module):
                _roughen(component.eval())
    small.pipeline.set_progress_bar_config(disable=True)
    return small


class _Blank(TorchFunctionMode):
    """New memory is zero: some classes never write to their parameters, but expect them from a file."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return (torch.zeros if func is torch.empty else func)(*args, **(kwargs or {}))


@torch.no_grad()
def _roughen(module: torch.nn.Module) -> None:
    for parameter in module.parameters():
        if parameter.numel() and (parameter == parameter.flatten()[0]).all():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
