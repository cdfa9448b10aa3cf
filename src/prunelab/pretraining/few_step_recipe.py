"""How an embedded text-to-image model learns to sample in few steps, without guidance.

One phase per halving of the sampler's steps (``steps_8``, ``steps_4``: see
:mod:`prunelab.pretraining.step_halving`), then ``pipeline``: the teacher's folder with the student's U-Net.
"""

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn

from prunelab.core.settings import Count, Counts, Number, Seed
from prunelab.models.folders import locate
from prunelab.models.pipeline import PipelineModel
from prunelab.pretraining.judged_recipe import LabelledData
from prunelab.pretraining.phases import Phase, hashed
from prunelab.pretraining.step_halving import Bank, StepHalving
from prunelab.schedules.schedule import Schedule

VERSION = 1  # part of the fingerprint: raise it when the same settings give other weights
CHUNK = 256  # examples encoded at once
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class FewStepRecipe:
    """Everything that decides the weights.

    teacher: name of the embedded model that is distilled, its velocity under ``guidance`` in the first
    round. halvings: the students' steps in order, each half of the one before; the first teacher takes twice
    halvings[0]. examples: of the training split.
    """

    seed: Seed
    data: LabelledData
    teacher: str
    guidance: Number
    halvings: Counts
    examples: Count
    schedule: Schedule

    @property
    def fingerprint(self) -> str:
        """A hash of every field, of the data's content and of the teacher's."""
        return hashed({**vars(self), "version": VERSION, "teacher": self._teacher().fingerprint()})

    def phases(self) -> list[Phase]:
        """A phase per halving, and the assembly."""
        rounds = [
            Phase(f"steps_{steps}", self.schedule, partial(self._halving, number), _save)
            for number, steps in enumerate(self.halvings)
        ]
        return [*rounds, Phase("pipeline", None, lambda finished: None, self._save_pipeline)]

    def _teacher(self) -> PipelineModel:
        return PipelineModel.open(self.teacher, embedded=self.teacher)

    def _halving(self, number: int, finished: Path) -> StepHalving:
        """Round ``number``: the student starts as a copy of its teacher."""
        model, steps = self._teacher(), self.halvings[number]
        teacher = model.components["denoiser"]
        if number:
            teacher = UNet2DConditionModel.from_pretrained(finished / f"steps_{self.halvings[number - 1]}")
        scheduler = copy.deepcopy(model.pipeline.scheduler)
        scheduler.set_timesteps(2 * steps)
        bank = _encoded(model, self.data.train()[: self.examples])
        return StepHalving(
            teacher.eval(),
            copy.deepcopy(teacher),
            scheduler.alphas_cumprod,
            scheduler.timesteps.tolist(),
            bank,
            1.0 if number else self.guidance,
            self.seed + number,
        )

    def _save_pipeline(self, objective: None, finished: Path, folder: Path) -> None:
        """The teacher's folder, its U-Net's weights exchanged for the last student's in half precision."""
        shutil.copytree(locate(None, self.teacher), folder, dirs_exist_ok=True)
        student = UNet2DConditionModel.from_pretrained(finished / f"steps_{self.halvings[-1]}")
        weights = {name: tensor.half().contiguous() for name, tensor in student.state_dict().items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


@torch.no_grad()
def _encoded(model: PipelineModel, examples: Mapping[str, Any]) -> Bank:
    """Latents and conditions of the examples."""
    images, captions = torch.from_numpy(examples["image"]), list(examples["caption"])
    latents = [model.encode(part) for part in images.split(CHUNK)]
    parts = [_states(model, captions[i : i + CHUNK]) for i in range(0, len(captions), CHUNK)]
    return Bank(torch.cat(latents), torch.cat(parts), _states(model, [""]))


def _states(model: PipelineModel, prompts: list[str]) -> torch.Tensor:
    """What the U-Net attends to, (batch, tokens, width)."""
    states: torch.Tensor = model.pipeline.encode_prompt(prompts, model.device(), 1, False)[0]
    return states


def _save(objective: StepHalving, finished: Path, folder: Path) -> None:
    student: nn.Module = objective.trained
    assert isinstance(student, UNet2DConditionModel)
    student.save_pretrained(folder)
