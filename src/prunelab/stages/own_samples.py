"""Own samples: what stands for real examples where there are prompts alone.

The dense model's last latents for every training prompt, and for as many held-out ones as are looked at, made
once as evaluation samples. Scorers and recoveries see them as they would see data that were encoded.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.core.observation import Observation
from prunelab.core.protocols import Scorer
from prunelab.core.tasks import Examples, Task
from prunelab.engine.observe import collect
from prunelab.evaluation.evaluation import Evaluation
from prunelab.stages.allocation import scorers
from prunelab.stages.bench import Bench, Part, Write, write_tensors
from prunelab.stages.request import Request
from prunelab.tracking.protocol import Run

VERSION = 1
HOW = ("steps", "guidance", "spacing", "seed")  # settings of the evaluation that decide its samples
MOST = 10**9


def without_real(request: Request, task: Task) -> Request:
    """The request without what needs real examples, where the data are prompts alone."""
    if task.has_media:
        return request
    asked = request.evaluation
    value, settings = replace(asked.value, real=0), {**asked.settings, "real": 0}
    return replace(request, evaluation=Part(asked.name, value, settings))


def on_own_samples(bench: Bench, request: Request) -> Bench:
    """The bench, whose task has the dense model's samples for examples where the data have none."""
    if bench.task.has_media:
        return bench
    own = OwnSamples(bench, request.evaluation)
    asked = [each.value for each in scorers(request.scorer, request.budget)]
    if not all(isinstance(each, Scorer) or getattr(each, "prompts_alone", False) for each in asked):
        own.training  # noqa: B018  made here: a stage's computation never starts another's
    return replace(bench, task=cast(Task, own))


class OwnSamples:
    """A task of prompts alone with examples for them; all else is as the bench's task has it."""

    def __init__(self, bench: Bench, evaluation: Part[Evaluation]) -> None:
        self.bench, self.evaluation = bench, evaluation

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bench.task, name)

    @property
    def how(self) -> dict[str, Any]:
        """What decides the samples beside the model and its prompts."""
        return {name: self.evaluation.settings[name] for name in HOW if name in self.evaluation.settings}

    @property
    def words(self) -> str:
        """What they are, for the report."""
        knobs = self.evaluation.value
        return (
            "the dense model's own samples in the place of real ones, as the data are prompts alone: of "
            f"{len(self._prompts)} training prompts, {knobs.steps} steps at guidance {knobs.guidance}"
        )

    def fingerprint(self) -> str:
        """What of the data decides results."""
        return f"{self.bench.task.fingerprint()} and own samples {sorted(self.how.items())}"

    def train(self, count: int) -> Examples:
        """The first ``count`` training prompts and what the dense model makes of them."""
        given = self.bench.task.train(count)
        return Examples(lambda: given.media, given.prompts, self.training[: len(given)])

    def test(self, count: int) -> Examples:
        """The first ``count`` held-out ones."""
        given = self.bench.task.test(count)
        return Examples(lambda: given.media, given.prompts, self._made("test", given.prompts))

    def calibration(self, seed: int) -> "OwnCalibration":
        """Examples of the training split in an order of their own, for scorers."""
        return OwnCalibration(self.bench.task.calibration(seed), self)

    @cached_property
    def training(self) -> Tensor:
        """The latents of all training prompts."""
        return self._made("train", self._prompts)

    @cached_property
    def _prompts(self) -> list[str]:
        return self.bench.task.train(MOST).prompts

    def _made(self, split: str, prompts: Sequence[str]) -> Tensor:
        bench, knobs = self.bench, self.evaluation.value

        def observe(rows: range, device: torch.device) -> dict[str, Tensor]:
            conditions = bench.model.embed(prompts[rows.start : rows.stop])
            noise = normal(bench.model.latent_shape, knobs.seed, rows, f"own {split} latents", device)
            spaced = knobs.spacing == "quadratic"
            made = bench.model.sample(
                conditions, noise, knobs.steps, knobs.guidance, last=True, quadratic=spaced
            )
            return {"latents": made[-1].float()}

        def make(partial: Path, run: Run) -> Write:
            asked = Observation(bench.model, len(prompts), knobs.batch_size, observe)
            rows = collect(asked, bench.hardware, f"own samples: {split}")
            return lambda folder: write_tensors(folder / "latents.safetensors", rows)

        inputs = {
            "model": bench.model.fingerprint(),
            "data": bench.task.fingerprint(),
            "split": split,
            "count": len(prompts),
            "precision": bench.hardware.arithmetic,
            **self.how,
        }
        return bench.artifact("own", split, VERSION, inputs, make).tensors("latents.safetensors")["latents"]


class OwnCalibration:
    """Training prompts by draw number, with the dense model's latents for them."""

    def __init__(self, given: Any, own: OwnSamples) -> None:
        self.given, self.own = given, own

    def prompts(self, draws: range) -> list[str]:
        """The prompts of these draws."""
        asked: list[str] = self.given.prompts(draws)
        return asked

    def media(self, draws: range) -> Tensor:
        """Refused: there are none."""
        read: Tensor = self.given.media(draws)
        return read

    def latents(self, draws: range) -> Tensor:
        """The latents of these draws."""
        return self.own.training[self.given.rows(draws)]
