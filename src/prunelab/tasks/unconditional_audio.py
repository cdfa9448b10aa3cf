"""Unconditional audio: sounds in, nothing asked for, sounds like the data out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.core.previews import Preview
from prunelab.core.waveforms import quantised
from prunelab.previews.sound import sounds
from prunelab.tasks.judged_data import JudgedData


@dataclass(frozen=True)
class UnconditionalAudio(JudgedData):
    """Data with the column ``audio``, int16 (1, samples) at ``rate`` Hz; players in the report."""

    rate: int = 0

    about = "sounds"
    column = "audio"
    dtype: ClassVar[torch.dtype] = torch.int16

    def check_judge(self) -> None:
        """See :class:`prunelab.tasks.judged_data.JudgedData`; the rates have to agree as well."""
        super().check_judge()
        rates = {"the data": self.data, "the judge": self.judge}
        for name, rate in ((name, getattr(part, "rate", self.rate)) for name, part in rates.items()):
            if rate != self.rate:
                raise Refusal(
                    f"the model's sounds have {self.rate} samples a second, {name} takes {rate}: "
                    "choose data (data=..., data.rate=...) and a judge (judge=...) that fit"
                )

    def stored(self, media: Tensor) -> Tensor:
        """Sounds in [-1, 1] as int16."""
        return quantised(media).cpu()

    def preview(self, state: str, media: Tensor, captions: Sequence[str]) -> Preview:
        """The sounds, to be played."""
        return sounds(state, "", media.numpy(), self.rate, captions)
