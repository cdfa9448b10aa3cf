"""Sounds of one model, for people to hear."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sound:
    """Samples of one model, one after the other.

    state: as in the rows. label: what else tells this model from others, may be empty. waveforms: int16,
    shape (n, channels, samples). rate: samples per second. captions: what each is, n of them.
    """

    state: str
    label: str
    waveforms: NDArray[np.int16]
    rate: int
    captions: Sequence[str]

    def __post_init__(self) -> None:
        assert self.waveforms.dtype == np.int16, f"sounds are int16, not {self.waveforms.dtype}"
        assert self.waveforms.ndim == 3, f"sounds have shape (n, c, samples), not {self.waveforms.shape}"
        assert len(self.waveforms) == len(self.captions), "one caption per sound"

    def first(self, count: int) -> "Sound":
        """The same with at most ``count`` sounds."""
        return replace(self, waveforms=self.waveforms[:count], captions=self.captions[:count])
