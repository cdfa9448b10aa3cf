"""Training by gradient steps: one loop for pretraining and for every kind of recovery.

What a step sees depends on its number alone: step k uses the draws k B ... (k + 1) B - 1 of a global batch
of B, and of w ranks the r-th takes the r-th contiguous part. So a run that was interrupted and one that was
not end in the same weights, bitwise, and the number of ranks changes them by floating-point round-off only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from prunelab.core import stopping
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Optimisation
from prunelab.engine import ranks
from prunelab.engine.arithmetic import computing
from prunelab.engine.sharding import Sharding, shares
from prunelab.schedules.schedule import Schedule
from prunelab.trainers.hardware import Hardware

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

LOG_EVERY = 10  # steps between two calls of the log
RATE, NORM = PACE = "learning_rate", "gradient_norm"  # what is logged beside the losses

Objective = Optimisation  # whoever asks for it: scorers, recoveries, pretraining


@runtime_checkable
class Paced(Protocol):
    """An objective some of whose parameters have a learning rate of their own, by name in ``trained``."""

    rates: Mapping[str, float]


@runtime_checkable
class Assisted(Protocol):
    """An objective in which models or modules take part that are not trained, such as a teacher."""

    @property
    def frozen(self) -> Sequence[Any]:
        """What the engine has to have where it trains, beside ``trained`` and the batches."""


def optimise(
    objective: Objective,
    schedule: Schedule,
    hardware: Hardware,
    folder: Path,
    describe: str,
    log: Callable[[Mapping[str, float], int], None],
) -> None:
    """Train ``objective.trained`` in place; afterwards it holds the result on the CPU, in eval mode.

    The result is the weight average when the schedule has one. Checkpoints go to ``folder`` (the same one on
    every rank), and a run whose folder holds some goes on from the newest whole one. Told to stop (see
    :mod:`prunelab.core.stopping`) it saves one after the step it is in. ``log`` is called on rank 0 with the
    means over the global batch, every LOG_EVERY steps and at the last: the losses and, as ``PACE`` names
    them, the schedule's learning rate and the norm of the gradient before it is clipped.
    Raises Refusal when the batch cannot be shared evenly or the processes were not started.
    """
    _check(schedule, hardware)
    # With Lightning, which takes seconds to import.
    from prunelab.engine.checkpoints import Checkpoints, SafeCheckpoints, newest
    from prunelab.engine.fitting import Average, Fitting, moved
    from prunelab.engine.progress import Progression
    from prunelab.engine.trainer import sharded, trainer

    sharding = Sharding(objective.trained) if sharded(hardware) and shares(objective) else None
    average = Average(objective.trained, schedule.ema)
    saver = Checkpoints(folder, schedule.checkpoint_every, schedule.steps)
    fitting = trainer(
        hardware,
        [average, saver, Progression(describe, schedule.steps)],
        shard=sharding is not None,
        plugins=[SafeCheckpoints()],
        max_steps=schedule.steps,
        max_epochs=-1,
        gradient_clip_val=schedule.clip,
        limit_val_batches=0,
    )
    steps = DataLoader(
        Batches(objective, schedule.batch_size),
        batch_size=None,
        sampler=Remaining(fitting, schedule.steps),
        num_workers=hardware.workers,
        pin_memory=hardware.pinned and torch.cuda.is_available(),
    )
    if ranks.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
    start = ranks.broadcast(newest(folder))
    objective.trained.train()
    beside = objective.frozen if isinstance(objective, Assisted) else ()
    with stopping.deferred(), computing(hardware, beside):
        fitting.fit(Fitting(objective, schedule, log, sharding), steps, ckpt_path=start)
    if sharding is not None:
        sharding.undo()
    average.apply(objective.trained)
    objective.trained.cpu().eval()
    moved(objective, torch.device("cpu"))


class Batches(Dataset[Any]):
    """Item k is this rank's part of the batch of step k."""

    def __init__(self, objective: Objective, batch_size: int) -> None:
        self.objective, self.batch_size = objective, batch_size
        self.part = batch_size // ranks.world()
        self.first = self.part * ranks.rank()

    def __getitem__(self, step: int) -> Any:
        """The batch of the draws that this rank has in step ``step``."""
        first = step * self.batch_size + self.first
        return self.objective.batch(range(first, first + self.part))


class Remaining(Sampler[int]):
    """The numbers of the steps still to do; has no length, as that changes with a restart."""

    def __init__(self, trainer: "Trainer", steps: int) -> None:
        self.trainer, self.steps = trainer, steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.trainer.global_step, self.steps))


def _check(schedule: Schedule, hardware: Hardware) -> None:
    if hardware.devices > 1 and ranks.world() == 1:
        raise Refusal(f"devices={hardware.devices} needs as many processes: start the job with torchrun")
    if schedule.batch_size % ranks.world():
        raise Refusal(
            f"batch_size={schedule.batch_size} cannot be split evenly over {ranks.world()} processes"
        )
