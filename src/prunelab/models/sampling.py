"""Sampling as the pipeline samples, step by step, with latents and noise that are given.

Backpropagation can be checkpointed at every step (Zhang et al. 2024, arXiv 2412.02852, after Chen et al.
2016): the denoiser's forward passes are repeated on the way back, the scheduler's own arithmetic is not, so
that any scheduler will do and memory grows by a step's latents, for one forward pass more. Where there is
room, the last steps keep their activations and are not repeated.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from prunelab.core.checkpointing import Passes
from prunelab.models.seams import Forward, Heard, Inputs, alike, repeated

Within = Callable[[int], AbstractContextManager[None]]


class Sampler:
    """What happens at the seams: it hands in the first latents and keeps those after every step.

    The options: see :class:`prunelab.core.protocols.SamplingOptions`.
    """

    def __init__(
        self,
        scheduler: Any,
        latents: Tensor,
        *,
        last: bool = False,
        checkpointed: bool = False,
        room: int = 0,
        within: Within = lambda _: nullcontext(),
    ) -> None:
        self.scheduler, self.last, self.within = scheduler, last, within
        self.passes = Passes(room) if checkpointed else None
        self.latents = latents
        self.steps = 0
        self.passed: list[Tensor] = []

    @cached_property
    def start(self) -> Tensor:
        """The first latents, at the noise of the first of the steps that have been set."""
        return self.latents * getattr(self.scheduler, "init_noise_sigma", 1.0)

    def denoise(self, forward: Forward, inputs: Inputs) -> Any:
        """The denoiser's forward pass, in the context of its step."""
        step, arguments = self.steps, self._arguments(inputs)

        def inside(**values: Any) -> Any:
            with self.within(step):
                return forward(**values)

        # The global generator is left alone: a step draws what it draws by its number.
        if self.passes is None:
            return inside(**_apart(arguments))
        return self.passes(inside, arguments, step, len(self.scheduler.timesteps) - step)

    def _arguments(self, inputs: Inputs) -> dict[str, Any]:
        if self.steps:
            return inputs.arguments
        return inputs.replaced(self._scaled(self.start))

    def _scaled(self, latents: Tensor) -> Tensor:
        scale = getattr(self.scheduler, "scale_model_input", None)
        return scale(latents, self.scheduler.timesteps[0]) if scale else latents

    def advance(
        self, step: Any, output: Any, timestep: Any, latents: Tensor, *more: Any, **named: Any
    ) -> Any:
        """A step of the scheduler; after the last one the pipeline's call ends."""
        before = latents if self.steps else self._first(latents)
        result = step(output, timestep, before, *more, **named)
        self.steps += 1
        # A pipeline may carry guidance's two halves from step to step.
        own = alike(result[0][: len(self.start)], self.start.shape)
        self.passed = [own] if self.last else [*self.passed, own]
        if self.steps == len(self.scheduler.timesteps):
            raise Heard(None)  # a loop that leaves the last timestep out ends by itself
        return result

    def _first(self, latents: Tensor) -> Tensor:
        return alike(repeated(self.start, len(latents)), latents.shape).to(latents.dtype)


def _apart(arguments: dict[str, Any]) -> dict[str, Any]:
    """Views of the tensors that gradients reach: a pass's own add up before they join those of the scheduler.

    So they do where a pass is one node of the graph, and both ways give the same gradient to the last bit.
    """
    return tree_map_only(Tensor, lambda each: each.view_as(each) if each.requires_grad else each, arguments)


def generators(latents: Tensor) -> list[torch.Generator]:
    """One per sample, for schedulers whose steps draw noise: seeded by the sample's own first latents."""
    if latents.is_meta:
        return []
    rows = latents.detach().flatten(1)[:, :16].float().cpu().numpy()
    seeds = [int.from_bytes(hashlib.sha256(row.tobytes()).digest()[:7]) for row in rows]
    return [torch.Generator(latents.device).manual_seed(seed) for seed in seeds]
