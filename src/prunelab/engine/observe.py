"""Forward passes that leave the weights alone, chunk by chunk, over all processes of the job.

A chunk's result depends on its number alone, and whole chunks are shared out, so one rank and many do
the same arithmetic: rows come back in chunk order, sums agree to float64 round-off.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from prunelab.core.protocols import Observation
from prunelab.engine import ranks
from prunelab.engine.hardware import Hardware
from prunelab.engine.progress import Progression
from prunelab.engine.trainer import trainer


def observe(observation: Observation, hardware: Hardware, describe: str) -> dict[str, Tensor]:
    """The sum of every statistic over all chunks and ranks, float64 on the CPU."""
    watching = _run(observation, hardware, describe, Summing(observation))
    partial = ranks.gather(watching.sums)
    empty = {name: torch.zeros_like(value) for sums in partial for name, value in sums.items()}
    return ranks.sum_over_ranks({**empty, **watching.sums})


def collect(observation: Observation, hardware: Hardware, describe: str) -> dict[str, Tensor]:
    """The rows of all chunks, concatenated in chunk order along the first dimension, on every rank."""
    watching = _run(observation, hardware, describe, Collecting(observation))
    rows = {number: row for part in ranks.gather(watching.rows) for number, row in part.items()}
    return {name: torch.cat([rows[i][name] for i in sorted(rows)]) for name in rows[0]}


class Watching(LightningModule):
    """The Lightning face of an observation; a subclass says what becomes of a chunk's result."""

    def __init__(self, observation: Observation) -> None:
        super().__init__()
        self.observation = observation
        # A rank without a chunk runs too: the others would wait for it at Lightning's barriers.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def on_predict_start(self) -> None:
        """Bring the model to where this rank observes."""
        self.observation.to(self.device)

    def predict_step(self, batch: int, batch_idx: int) -> None:
        """One chunk; its result is kept by the subclass, not by Lightning."""
        self.keep(batch, self.observation.observe(batch))

    def keep(self, chunk: int, result: Mapping[str, Tensor]) -> None:
        """Take in the result of one chunk."""
        raise AssertionError("Summing and Collecting say what is kept")


class Summing(Watching):
    """Adds the chunks' statistics in float64."""

    def __init__(self, observation: Observation) -> None:
        super().__init__(observation)
        self.sums: dict[str, Tensor] = {}

    def keep(self, chunk: int, result: Mapping[str, Tensor]) -> None:
        """Add to the sums, on the CPU."""
        for name, value in result.items():
            addend = value.detach().to("cpu", torch.float64)
            self.sums[name] = self.sums[name] + addend if name in self.sums else addend


class Collecting(Watching):
    """Keeps the chunks' rows under their numbers."""

    def __init__(self, observation: Observation) -> None:
        super().__init__(observation)
        self.rows: dict[int, dict[str, Tensor]] = {}

    def keep(self, chunk: int, result: Mapping[str, Tensor]) -> None:
        """Keep the rows, on the CPU."""
        self.rows[chunk] = {name: value.detach().cpu() for name, value in result.items()}


def _run(observation: Observation, hardware: Hardware, describe: str, watching: Any) -> Any:
    mine = range(ranks.rank(), observation.chunks, ranks.world())
    chunks: DataLoader[int] = DataLoader(list(mine), batch_size=None)  # type: ignore[arg-type]
    trainer(hardware, [Progression(describe, len(mine))], inference_mode=False).predict(watching, chunks)
    observation.to(torch.device("cpu"))
    return watching
