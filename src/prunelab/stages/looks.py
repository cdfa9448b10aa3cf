"""Samples of a model while it is trained, for the log alone: nothing of the training depends on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from prunelab.core.draws import normal
from prunelab.core.protocols import Model
from prunelab.core.tasks import Task
from prunelab.engine.sharding import shared_out
from prunelab.evaluation.evaluation import Evaluation
from prunelab.stages.evaluate import LATENTS
from prunelab.stages.history import History
from prunelab.tracking.protocol import Run

SAMPLES = 4  # of the evaluation's first prompts, from the noise that these have there


@dataclass
class Looks:
    """A training's log that also shows samples of ``model``, ``times`` of them evenly over its ``steps``.

    Weights that are shared out over the ranks are not looked at: it is rank 0 alone that logs.
    """

    model: Model
    task: Task
    evaluation: Evaluation
    history: History
    run: Run
    steps: int
    times: int
    taken: int = field(default=0, init=False)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record the losses of one step, and look where it is time to."""
        self.history.log(values, step)
        due = step * self.times // self.steps
        if due > self.taken and self.run.listens and not shared_out(self.model.components["denoiser"]):
            self.taken = due
            self._show(step)

    @torch.no_grad()
    def _show(self, step: int) -> None:
        denoiser, knobs = self.model.components["denoiser"], self.evaluation
        where = next(denoiser.parameters()).device
        prompts = self.task.prompts(min(SAMPLES, knobs.samples))
        denoiser.eval()
        conditions = self.model.embed(prompts)
        noise = normal(self.model.latent_shape, knobs.seed, range(len(prompts)), LATENTS, where)
        quadratic = knobs.spacing == "quadratic"
        latents = self.model.sample(
            conditions, noise, knobs.steps, knobs.guidance, last=True, quadratic=quadratic
        )
        media = self.task.stored(self.model.decode(latents[-1]).float())
        denoiser.train()
        self.run.show("samples", self.task.preview("", media, prompts), step)
