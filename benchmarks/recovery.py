"""A step of fine-tuning beside that of a bare PyTorch loop on the same latents, noise and timesteps.

    python benchmarks/recovery.py [--steps 40] [--rounds 3] [--batch 8]

Two copies of the embedded text-to-image model's denoiser are trained by AdamW, step by step in turn, in one
process: before the engine is given its next batch, the loop takes the same step. A step lasts from one batch
to the next. Printed are the loop's CPU time over this package's (above 1: this package is faster), the median
over the steps of a round, the range of the rounds, and how far the weights differ in the end, over how far
they went; and what the engine takes beside the steps, to make its trainer and to save a checkpoint.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import copy
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from goals import load, noted
from torch import Tensor, nn
from torch.nn import functional as F

from prunelab.data.digits import Digits
from prunelab.engine.optimise import optimise
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.training_draws import Batch, Draws
from prunelab.schedules.schedule import Schedule
from prunelab.tasks.judged_data import ShuffledExamples
from prunelab.trainers.hardware import Hardware

LEFT_OUT = 2  # first steps, in which AdamW makes its moments


@dataclass
class InTurns:
    """An objective whose batches are given after the ``peer`` has taken the same step, timed both."""

    objective: object
    peer: Iterator[None]
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    since: float | None = None

    def __getattr__(self, name: str) -> object:
        """All else is the objective's own."""
        return getattr(self.objective, name)

    def batch(self, draws: range) -> Batch:
        """The batch of these draws, after the peer's step."""
        now = time.process_time()
        if self.since is not None:
            self.ours.append(now - self.since)
        start = time.process_time()
        next(self.peer)
        self.since = time.process_time()
        self.theirs.append(self.since - start)
        found: Batch = self.objective.batch(draws)  # type: ignore[attr-defined]
        return found

    @property
    def ratio(self) -> float:
        """The median over the steps of the loop's time over ours."""
        pairs = list(zip(self.theirs, self.ours, strict=False))  # our last step has no batch behind it
        return statistics.median(peer / ours for peer, ours in pairs[min(LEFT_OUT, len(pairs) - 1) :])


def peer(student: PipelineModel, draws: Draws, schedule: Schedule) -> Iterator[None]:
    """The loop that a user would write, step by step."""
    unet, scheduler = student.pipeline.unet.requires_grad_(True).train(), student.pipeline.scheduler
    optimizer = torch.optim.AdamW(
        unet.parameters(), schedule.learning_rate, betas=schedule.betas, weight_decay=schedule.weight_decay
    )
    count = schedule.batch_size
    for step in range(schedule.steps):
        latents, prompts, timesteps, noise = draws.batch(range(step * count, (step + 1) * count))
        with torch.no_grad():
            states = student.pipeline.encode_prompt(list(prompts or ()), torch.device("cpu"), 1, False)[0]
        noisy = scheduler.add_noise(latents, noise, timesteps)
        output = unet(noisy, timesteps, encoder_hidden_states=states).sample
        F.mse_loss(output, scheduler.get_velocity(latents, noise, timesteps)).backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield


def weights(module: nn.Module) -> Tensor:
    """All of them, one behind another."""
    return torch.cat([each.detach().flatten() for each in module.parameters()])


def student_of(model: PipelineModel) -> PipelineModel:
    """The model with a denoiser of its own."""
    return model.with_components({"denoiser": copy.deepcopy(model.components["denoiser"])})


def measured(
    model: PipelineModel, draws: Draws, schedule: Schedule
) -> tuple[float, float, float, float, float]:
    """The ratio of a step, medians of the loop's CPU seconds and ours, those beside steps, the difference."""
    one, other = student_of(model), student_of(model)
    objective = Finetune(drop=0.0).objective(one, one, draws)
    turns = InTurns(objective, peer(other, draws, schedule))
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        optimise(turns, schedule, Hardware(), Path(folder), "recover", lambda *_: None)  # type: ignore[arg-type]
    whole = time.process_time() - start
    ours, loop = statistics.median(turns.ours), statistics.median(turns.theirs)
    beside = whole - sum(turns.theirs) - sum(turns.ours) - ours  # the last step is not in the list
    trained, found = (weights(each.components["denoiser"]) for each in (one, other))
    differ = float((trained - found).norm() / (found - weights(model.components["denoiser"])).norm())
    return turns.ratio, loop, ours, beside, differ


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40, help="of a training")
    parser.add_argument("--rounds", type=int, default=3, help="trainings")
    parser.add_argument("--batch", type=int, default=8, help="of a step")
    asked = parser.parse_args()
    model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
    examples = ShuffledExamples(Digits(train_size=64).train(), 0)
    latents = model.encode(examples.media(range(64)))
    draws = Draws(latents, examples.prompts(range(64)), model.timesteps, 0.0, 0)
    schedule = Schedule(
        steps=asked.steps,
        batch_size=asked.batch,
        learning_rate=1e-4,
        decay="constant",
        checkpoint_every=10**6,
    )
    measured(model, draws, Schedule(steps=2, batch_size=asked.batch, learning_rate=1e-4))  # imports
    rounds = [measured(model, draws, schedule) for _ in range(asked.rounds)]
    ratios, *others = zip(*rounds, strict=True)
    loop, ours, beside, differ = (statistics.median(values) for values in others)
    print(f"{load()}; CPU seconds, medians of {asked.rounds} rounds of {asked.steps} steps")
    print(noted("recovery, a step; a bare PyTorch loop: its time over ours", ratios, least=0.98).line())
    print(
        f"a step: loop {loop:.4f} s, ours {ours:.4f} s; beside the steps {beside:.2f} s; differ {differ:.1e}"
    )


if __name__ == "__main__":
    main()
