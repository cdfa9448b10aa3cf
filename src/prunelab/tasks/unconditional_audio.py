"""Unconditional audio: sounds in, nothing asked for, sounds like the data out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prunelab.core.previews import Sound
from prunelab.core.waveforms import quantised
from prunelab.tasks.judged_data import JudgedData


@dataclass(frozen=True)
class UnconditionalAudio(JudgedData):
    """Data with the column ``audio``, int16 (1, samples) at ``rate`` Hz; players in the report."""

    rate: int = 0

    about = "sounds"
    column = "audio"
    dtype: ClassVar[torch.dtype] = torch.int16

    def stored(self, media: Tensor) -> Tensor:
        """Sounds in [-1, 1] as int16."""
        return quantised(media).cpu()

    def preview(self, state: str, media: Tensor, captions: Sequence[str]) -> Sound:
        """The sounds, to be played."""
        return Sound(state, "", media.numpy(), self.rate, captions)
