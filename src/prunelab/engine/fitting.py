"""The Lightning face of a training: its steps, its optimiser, and the average of its weights."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from prunelab.engine import ranks
from prunelab.engine.optimise import LOG_EVERY, NORM, RATE, Assisted, Objective, Paced
from prunelab.engine.sharding import Sharding, alike, local, whole
from prunelab.schedules.schedule import Schedule, kind

SMALL = 4096  # numbers in a tensor, up to which AdamW by lists is faster on a CPU


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
        self.loss_of, self.move = objective.loss, partial(moved, objective)
        self.rates = objective.rates if isinstance(objective, Paced) else {}
        self.schedule, self.report = schedule, log
        self.moving: list[nn.Parameter] = []
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
        gradients = [each.grad for each in self.moving if each.grad is not None]
        norm = whole(nn.utils.get_total_norm(gradients)).item()  # by all ranks
        rate = self.schedule.learning_rate * self.schedule.factor(self.trainer.global_step)
        if ranks.rank() == 0:
            with self.trainer.precision_plugin.forward_context():
                self.report({**means, RATE: rate, NORM: norm}, self.trainer.global_step + 1)

    def configure_optimizers(self) -> Any:
        """AdamW over what requires a gradient, its rates following the schedule step by step."""
        groups: dict[float, list[nn.Parameter]] = {}
        moving = _moving(self.trained)
        for name, parameter in moving.items():
            rate = self.rates.get(name, self.schedule.learning_rate)
            groups.setdefault(rate, []).append(parameter)
        self.moving = list(moving.values())
        settings = {"betas": tuple(self.schedule.betas), "weight_decay": self.schedule.weight_decay}
        optimiser = kind(self.schedule.optimiser, _small(self.moving))(
            [{"params": parameters, "lr": rate} for rate, parameters in groups.items()],
            self.schedule.learning_rate,
            **settings,
        )
        pace = torch.optim.lr_scheduler.LambdaLR(optimiser, self.schedule.factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": pace, "interval": "step"}}


class Average(Callback):
    """The exponential moving average of the trained parameters, from the initial ones on."""

    def __init__(self, trained: nn.Module, decay: float | None) -> None:
        self.blend: Any = None if decay is None else get_ema_multi_avg_fn(decay)
        start = {} if decay is None else _moving(trained)
        self.means = {name: each.detach().clone() for name, each in start.items()}
        self.pairs: tuple[list[Tensor], list[Tensor]] | None = None  # means, and weights of now

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average a little towards the new weights."""
        if self.blend is not None:
            trained: Any = pl_module.trained
            self.pairs = self.pairs or self._paired(_moving(trained))
            self.blend(*self.pairs, 0)

    @torch.no_grad()
    def _paired(self, now: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The means and the weights as this rank has them: the same tensors in every step."""
        self.means = {name: alike(mean, now[name]) for name, mean in self.means.items()}
        return [local(mean) for mean in self.means.values()], [local(now[name]) for name in self.means]

    def state_dict(self) -> dict[str, Any]:
        """The average by parameter name, whole."""
        return {"means": {name: whole(mean) for name, mean in self.means.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved average."""
        self.means, self.pairs = state_dict["means"], None

    def apply(self, trained: nn.Module) -> None:
        """Put the average in the place of the weights; without an average the weights stay."""
        trained.load_state_dict(self.state_dict()["means"], strict=False)


def _moving(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient, by name."""
    return {name: each for name, each in module.named_parameters() if each.requires_grad}


def _small(weights: Sequence[Tensor]) -> bool:
    """Whether a tensor's share of the arithmetic takes less time than a call for it."""
    return sum(each.numel() for each in weights) < SMALL * len(weights)


def moved(objective: Objective, device: torch.device) -> None:
    """Bring what takes part in the training beside what is trained to ``device``."""
    for each in objective.frozen if isinstance(objective, Assisted) else ():
        each.to(device)
