"""Sounds of one's own, at a model's rate and length."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from prunelab.core.settings import Count, Text, settings
from prunelab.data.content import file_bytes
from prunelab.data.folder import SOUNDS
from prunelab.data.rows import Decode
from prunelab.data.table import Table, described
from prunelab.data.waveform import waveform


@settings(kw_only=True)
class Sounds(Table):
    """Columns ``audio`` (int16, 1 x samples), ``caption`` where there is one, and the labels.

    rate: samples per second. samples: how many of them, from the beginning. audio_column, caption_column:
    their names in the table. labels: name of a label -> the column with its class numbers. A folder is
    read file by file.
    """

    rate: Count = 16000
    samples: Count = 16000
    audio_column: Text = "audio"
    caption_column: Text | None = "text"
    labels: Mapping[str, str] = field(default_factory=dict)

    def columns(self) -> Mapping[str, tuple[str, Decode]]:
        """See :class:`Table`."""
        return {
            "audio": (self.audio_column, self._audio),
            **described(self.caption_column, self.labels),
        }

    def listed(self, place: Path) -> Dataset | None:
        """The audio files of a folder: the builder of ``datasets`` for them takes another package."""
        found = self.files(place, SOUNDS) if self.builder is None and place.is_dir() else []
        names = [file.relative_to(self._place).as_posix() for file in found]
        return Dataset.from_dict({self.audio_column: names}) if names else None

    def _audio(self, value: Any) -> NDArray[np.int16]:
        return waveform(file_bytes(value, self._local), self.rate, self.samples)
