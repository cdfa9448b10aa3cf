"""Distillation from the dense teacher: outputs and features, beside the model's own objective.

BK-SDM (Kim et al., ECCV 2024, arXiv 2305.15798): L = L_task + a L_output + b L_feature, where L_output is
the mean squared difference of the denoisers' outputs and L_feature the sum over the U-Net's stages of
the mean squared difference of their activations; a = b = 1 in the paper. BK-SDM removes whole blocks; where
channels went instead, a stage may be narrower than the teacher's, and is left out of L_feature.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from prunelab.core.prices import Price
from prunelab.core.protocols import Model
from prunelab.core.settings import Fraction, NonNegative, settings
from prunelab.recovery.finetune import DenoisingObjective
from prunelab.recovery.training_draws import Batch, Draws

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
STAGES = ("down_blocks", "mid_block", "up_blocks", "transformer_blocks", "single_transformer_blocks")


@settings
class Distill:
    """Weights of the task, output and feature terms; ``drop``: share of prompts left empty.

    teacher: the precision of the frozen teacher's weights, None as it was opened.
    """

    task: NonNegative = 1.0
    output: NonNegative = 1.0
    feature: NonNegative = 1.0
    drop: Fraction = 0.1
    teacher: Literal["bf16", "fp16"] | None = None

    def price(self, draws: int, batch: int) -> Price:
        """One pass of the teacher beside the student's."""
        return Price(2 * draws, draws, batch)

    def objective(self, student: Model, teacher: Model, draws: Draws) -> "DistillationObjective":
        """What is minimised."""
        return DistillationObjective(student, teacher, draws, self)


class DistillationObjective(DenoisingObjective):
    """The weighted sum of task, output and feature losses; the teacher runs without gradients."""

    def __init__(self, student: Model, teacher: Model, draws: Draws, weights: Distill) -> None:
        super().__init__(student, draws)
        self.teacher = halved(teacher, HALVES[weights.teacher]) if weights.teacher else teacher
        self.weights = weights
        self.frozen = (student, self.teacher)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Means over the batch: ``loss`` and its parts ``task``, ``output`` and ``feature``."""
        noisy, timesteps, conditions, wanted = self.inputs(batch)
        with torch.no_grad(), _features(self.teacher.components["denoiser"]) as known:
            reference = self.teacher.predict(noisy, timesteps, conditions)
        with _features(self.student.components["denoiser"]) as learned:
            output = self.student.predict(noisy, timesteps, conditions)
        pairs = [(a, b) for a, b in zip(learned, known, strict=True) if a.shape == b.shape]
        parts = {
            "task": (output - wanted).pow(2).mean(),
            "output": (output - reference).pow(2).mean(),
            "feature": sum(((a - b).pow(2).mean() for a, b in pairs), start=output.new_zeros(())),
        }
        return {"loss": sum(getattr(self.weights, name) * part for name, part in parts.items()), **parts}


def halved(model: Model, dtype: torch.dtype) -> Model:
    """The model with its denoiser's weights in ``dtype``, tensor by tensor; what it is given is converted."""
    whole = model.components["denoiser"]
    memo: dict[int, Any] = {
        id(weight): nn.Parameter(weight.detach().to(dtype), requires_grad=False)
        for weight in whole.parameters()
    }
    denoiser = copy.deepcopy(whole, memo).to(dtype)

    def convert(_: nn.Module, args: Any, kwargs: Any) -> Any:
        return tree_map_only(Tensor, lambda each: _converted(each, dtype), (args, kwargs))

    denoiser.register_forward_pre_hook(convert, with_kwargs=True)
    return model.with_components({"denoiser": denoiser})


def _converted(value: Tensor, dtype: torch.dtype) -> Tensor:
    """In ``dtype`` unless it holds whole numbers, or one a sample: a time would be rounded to another."""
    return value.to(dtype) if value.is_floating_point() and value.ndim > 1 else value


@contextmanager
def _features(denoiser: nn.Module) -> Iterator[list[Tensor]]:
    """Inside the context, a forward pass appends each stage's activations, in the order they ran."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, inputs: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    handles = [stage.register_forward_hook(keep) for stage in stages(denoiser)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def stages(denoiser: nn.Module) -> list[nn.Module]:
    """The top-level stages of a denoiser."""
    found: list[nn.Module] = []
    for name in STAGES:
        child = getattr(denoiser, name, None)
        found += list(child) if isinstance(child, nn.ModuleList) else [child] if child is not None else []
    return found
