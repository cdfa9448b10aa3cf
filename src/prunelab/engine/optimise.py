"""Training by gradient steps: one loop for pretraining and for every kind of recovery.

What a step sees depends on its number alone: step k uses the draws k B ... (k + 1) B - 1 of a global batch
of B, and of w ranks the r-th takes the r-th contiguous part. So a run that was interrupted and one that was
not end in the same weights, bitwise, and the number of ranks changes them by floating-point round-off only.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Sampler

from prunelab.core import stopping
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Optimisation
from prunelab.core.settings import (
    Betas,
    Count,
    Decay,
    NonNegative,
    NonNegativeCount,
    Positive,
    Runtime,
    settings,
)
from prunelab.engine import ranks
from prunelab.engine.checkpoints import Checkpoints, SafeCheckpoints, newest
from prunelab.engine.hardware import Hardware
from prunelab.engine.progress import Progression
from prunelab.engine.sharding import Sharding, alike, local, shares, whole
from prunelab.engine.trainer import sharded, trainer

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


@settings
class Schedule:
    """The settings of one training that decide its result (``checkpoint_every`` apart).

    steps: optimiser steps. batch_size: draws per step over all ranks. warmup: steps of linear warm-up.
    decay: "cosine" (to zero at the last step) or "constant". clip: largest gradient norm, None for no limit.
    ema: decay per step of the weight average that replaces the weights at the end, None for no average.
    """

    steps: Count
    batch_size: Count
    learning_rate: Positive
    weight_decay: NonNegative = 0.0
    betas: Betas = (0.9, 0.999)
    warmup: NonNegativeCount = 0
    decay: Literal["cosine", "constant"] = "cosine"
    clip: Positive | None = 1.0
    ema: Decay | None = None
    checkpoint_every: Runtime[Count] = 100

    def factor(self, step: int) -> float:
        """The learning rate of step ``step`` (from 0), as a fraction of ``learning_rate``."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.decay == "constant":
            return 1.0
        return 0.5 + 0.5 * math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup))


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
    )
    if ranks.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
    start = ranks.broadcast(newest(folder))
    objective.trained.train()
    with stopping.deferred(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*a checkpoint that ended before the epoch.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning calls torch by an old name
        fitting.fit(Fitting(objective, schedule, log, sharding), steps, ckpt_path=start)
    if sharding is not None:
        sharding.undo()
    average.apply(objective.trained)
    objective.trained.cpu().eval()
    _move(objective, torch.device("cpu"))


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

    def __init__(self, trainer: Trainer, steps: int) -> None:
        self.trainer, self.steps = trainer, steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.trainer.global_step, self.steps))


class Fitting(LightningModule):
    """The Lightning face of an objective: only the trained module is registered, and so saved."""

    def __init__(
        self,
        objective: Objective,
        schedule: Schedule,
        log: Callable[[Mapping[str, float], int], None],
        sharding: Sharding | None = None,
    ) -> None:
        super().__init__()
        self.sharding = sharding
        self.trained = objective.trained
        self.loss_of, self.move = objective.loss, partial(_move, objective)
        self.rates = objective.rates if isinstance(objective, Paced) else {}
        self.schedule, self.report = schedule, log
        self.means: dict[str, float] = {}  # of a step that is logged

    def configure_model(self) -> None:
        """Share the weights out, where the strategy has made a mesh for it."""
        if self.sharding is not None:
            assert self.device_mesh is not None
            self.sharding.over(self.device_mesh["data_parallel"])

    def on_fit_start(self) -> None:
        """Bring what is not trained to where the trained module is."""
        self.move(self.device)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one step on this rank's part of the batch; its parts are logged now and then."""
        losses = self.loss_of(batch)
        step = self.trainer.global_step + 1
        if step % LOG_EVERY == 0 or step == self.schedule.steps:
            totals = ranks.sum_over_ranks(losses)
            self.means = {name: total.item() / ranks.world() for name, total in totals.items()}
        return losses["loss"]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log a step once its gradient is known; whoever listens may run the model as a step does."""
        if not self.means:
            return
        means, self.means = self.means, {}
        gradients = [each.grad for each in self.trained.parameters() if each.grad is not None]
        norm = nn.utils.get_total_norm(gradients).item()
        rate = self.schedule.learning_rate * self.schedule.factor(self.trainer.global_step)
        if ranks.rank() == 0:
            with self.trainer.precision_plugin.forward_context():
                self.report({**means, RATE: rate, NORM: norm}, self.trainer.global_step + 1)

    def configure_optimizers(self) -> Any:
        """AdamW over what requires a gradient, its rates following the schedule step by step."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.trained.named_parameters():
            if parameter.requires_grad:
                rate = self.rates.get(name, self.schedule.learning_rate)
                groups.setdefault(rate, []).append(parameter)
        moving = [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]
        beta1, beta2 = self.schedule.betas
        optimiser = torch.optim.AdamW(
            moving, self.schedule.learning_rate, (beta1, beta2), weight_decay=self.schedule.weight_decay
        )
        pace = torch.optim.lr_scheduler.LambdaLR(optimiser, self.schedule.factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": pace, "interval": "step"}}


class Average(Callback):
    """The exponential moving average of the trained parameters, from the initial ones on."""

    def __init__(self, trained: nn.Module, decay: float | None) -> None:
        self.decay = decay
        self.means = _moving(trained) if decay is not None else {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average a little towards the new weights."""
        if self.decay is not None:
            trained: Any = pl_module.trained
            now = _moving(trained, copy=False)
            self.means = {name: alike(mean, now[name]) for name, mean in self.means.items()}
            blend: Any = get_ema_multi_avg_fn(self.decay)
            blend([local(mean) for mean in self.means.values()], [local(each) for each in now.values()], 0)

    def state_dict(self) -> dict[str, Any]:
        """The average by parameter name, whole."""
        return {"means": {name: whole(mean) for name, mean in self.means.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved average."""
        self.means = state_dict["means"]

    def apply(self, trained: nn.Module) -> None:
        """Put the average in the place of the weights; without an average the weights stay."""
        trained.load_state_dict(self.state_dict()["means"], strict=False)


def _moving(module: nn.Module, copy: bool = True) -> dict[str, Tensor]:
    """The parameters that require a gradient, by name."""
    moving = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    return {name: p.clone() for name, p in moving.items()} if copy else moving


def _move(objective: Objective, device: torch.device) -> None:
    for each in objective.frozen if isinstance(objective, Assisted) else ():
        each.to(device)


def _check(schedule: Schedule, hardware: Hardware) -> None:
    if hardware.devices > 1 and ranks.world() == 1:
        raise Refusal(f"devices={hardware.devices} needs as many processes: start the job with torchrun")
    if schedule.batch_size % ranks.world():
        raise Refusal(
            f"batch_size={schedule.batch_size} cannot be split evenly over {ranks.world()} processes"
        )
