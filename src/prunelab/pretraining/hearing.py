"""Teaching the listener to name what a sound is."""

from torch import Tensor

from prunelab.core.draws import visits
from prunelab.pretraining.naming import Naming


class Hearing(Naming):
    """Cross entropy of every label, summed, on waveforms as they are.

    judge: called on int16 waveforms, returns features and logits per label.
    images: the waveforms, int16 (n, 1, samples). labels: label -> class numbers, int64 (n,).
    """

    def batch(self, draws: range) -> dict[str, Tensor]:
        """Waveforms and their class numbers."""
        items = visits(draws, len(self.images), self.seed, "listener")
        return {"images": self.images[items]} | {name: of[items] for name, of in self.labels.items()}
