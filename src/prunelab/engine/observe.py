"""Forward passes that leave the weights alone, batch by batch, over all processes of the job.

A batch's result depends on its rows alone, and whole batches are shared out, so one rank and many do the
same arithmetic: rows come back in their order, sums agree to float64 round-off.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from prunelab.core.observation import Observation
from prunelab.engine import ranks
from prunelab.engine.hardware import Hardware, placed
from prunelab.engine.progress import Progression
from prunelab.engine.trainer import trainer


def observe(observation: Observation, hardware: Hardware, describe: str) -> dict[str, Tensor]:
    """The sum of every statistic over all batches and ranks, dense, float64 on the CPU."""
    sums = _run(observation, hardware, describe, Summing(observation)).sums
    known = ranks.gather({name: value.shape for name, value in sums.items()})
    for name, shape in {name: shape for names in known for name, shape in names.items()}.items():
        sums.setdefault(name, torch.zeros(shape, dtype=torch.float64))
    return ranks.sum_over_ranks(sums)


def collect(observation: Observation, hardware: Hardware, describe: str) -> dict[str, Tensor]:
    """What all batches give, in the order of the rows along the first dimension, on every rank."""
    shares = ranks.gather_tensors(_run(observation, hardware, describe, Collecting(observation)).kept)
    kept = {key: rows for share in shares for key, rows in share.items()}
    names = [name for number, name in kept if number == 0]
    numbers = range(len(observation.batches))
    return {name: torch.cat([kept[number, name] for number in numbers]) for name in names}


class Watching(LightningModule):
    """The Lightning face of an observation; a subclass says what becomes of a batch's result."""

    def __init__(self, observation: Observation) -> None:
        super().__init__()
        self.observe, self.batches = observation.observe, observation.batches
        # A rank without a batch runs too: the others would wait for it at Lightning's barriers.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def predict_step(self, batch: int, batch_idx: int) -> None:
        """The batch of this number; its result is kept by the subclass, not by Lightning."""
        self.keep(batch, self.observe(self.batches[batch], self.device))

    def keep(self, batch: int, result: Mapping[str, Tensor]) -> None:
        """Take in the result of one batch."""
        raise AssertionError("Summing and Collecting say what is kept")


class Summing(Watching):
    """Adds the batches' statistics in float64."""

    def __init__(self, observation: Observation) -> None:
        super().__init__(observation)
        self.sums: dict[str, Tensor] = {}

    def keep(self, batch: int, result: Mapping[str, Tensor]) -> None:
        """Add to the sums, on the CPU."""
        for name, value in result.items():
            addend = value.detach().to("cpu", torch.float64)
            if name not in self.sums:
                self.sums[name] = torch.zeros(addend.shape, dtype=torch.float64)
            self.sums[name] += addend


class Collecting(Watching):
    """Keeps the batches' rows under their numbers and names."""

    def __init__(self, observation: Observation) -> None:
        super().__init__(observation)
        self.kept: dict[tuple[int, str], Tensor] = {}

    def keep(self, batch: int, result: Mapping[str, Tensor]) -> None:
        """Keep the rows, on the CPU."""
        self.kept |= {(batch, name): value.detach().cpu() for name, value in result.items()}


def _run(observation: Observation, hardware: Hardware, describe: str, watching: Any) -> Any:
    mine = range(ranks.rank(), len(observation.batches), ranks.world())
    numbers: DataLoader[int] = DataLoader(list(mine), batch_size=None)  # type: ignore[arg-type]
    watched = trainer(hardware, [Progression(describe, len(mine))], inference_mode=False)
    with placed(observation.model, watched.strategy.root_device):
        watched.predict(watching, numbers)
    return watching
