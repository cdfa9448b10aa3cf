"""The Lightning face of an observation."""

from collections.abc import Callable, Mapping
from typing import Self

from lightning.pytorch import LightningModule
from torch import Tensor

from prunelab.core.observation import Observation

Keep = Callable[[int, Mapping[str, Tensor]], None]


class Watching(LightningModule):
    """The Lightning face of an observation; ``keep`` takes the number of a batch and what it gives."""

    def __init__(self, observation: Observation, keep: Keep) -> None:
        super().__init__()
        self.observation: Observation | None = observation
        self.keep: Keep | None = keep
        # A rank without a batch runs too: the others would wait for it at Lightning's barriers.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def __enter__(self) -> Self:
        """Ready to be run."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the model and of what was seen: the Trainer keeps what it ran last."""
        self.observation = self.keep = None

    def predict_step(self, batch: int, batch_idx: int) -> None:
        """The batch of this number; Lightning keeps nothing of it."""
        assert self.observation is not None and self.keep is not None  # noqa: PT018
        rows = self.observation.batches[batch]
        self.keep(batch, self.observation.observe(rows, self.device))
