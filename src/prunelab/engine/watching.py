"""The Lightning face of an observation."""

from collections.abc import Callable, Mapping

from lightning.pytorch import LightningModule
from torch import Tensor

from prunelab.core.observation import Observation

Keep = Callable[[int, Mapping[str, Tensor]], None]


class Watching(LightningModule):
    """The Lightning face of an observation; ``keep`` takes the number of a batch and what it gives."""

    def __init__(self, observation: Observation, keep: Keep) -> None:
        super().__init__()
        self.observe, self.batches, self.keep = observation.observe, observation.batches, keep
        # A rank without a batch runs too: the others would wait for it at Lightning's barriers.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def predict_step(self, batch: int, batch_idx: int) -> None:
        """The batch of this number; Lightning keeps nothing of it."""
        self.keep(batch, self.observe(self.batches[batch], self.device))
