"""What people look at or listen to: samples of one model, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray


class Gallery(Protocol):
    """Where previews are shown: a tracker's run."""

    def images(self, name: str, images: NDArray[np.uint8], captions: Sequence[str]) -> None:
        """Images, uint8 of shape (n, height, width, channels), n captions."""
        ...

    def sounds(self, name: str, waveforms: NDArray[np.int16], rate: int, captions: Sequence[str]) -> None:
        """Sounds, int16 of shape (n, channels, samples), ``rate`` samples per second, n captions."""
        ...


class Preview(Protocol):
    """Samples of one model. state: as in a report's rows. label: what else tells it from others."""

    @property
    def state(self) -> str: ...  # noqa: D102 see the class

    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def captions(self) -> Sequence[str]: ...  # noqa: D102

    def first(self, count: int) -> Self:
        """The same with at most ``count`` samples."""
        ...

    def show(self, gallery: Gallery, name: str) -> None:
        """Log the samples under ``name``."""
        ...


@dataclass(frozen=True)
class Picture:
    """Images of one model.

    state: as in the rows. label: what else tells this model from others, may be empty. images: uint8,
    shape (n, height, width, channels) with 1 or 3 channels. captions: what was asked for, n of them.
    """

    state: str
    label: str
    images: NDArray[np.uint8]
    captions: Sequence[str]

    def __post_init__(self) -> None:
        assert self.images.dtype == np.uint8, f"pictures are uint8, not {self.images.dtype}"
        assert self.images.ndim == 4, f"pictures have shape (n, h, w, c), not {self.images.shape}"
        assert len(self.images) == len(self.captions), "one caption per picture"

    def first(self, count: int) -> "Picture":
        """The same with at most ``count`` images."""
        return Picture(self.state, self.label, self.images[:count], self.captions[:count])

    def show(self, gallery: Gallery, name: str) -> None:
        """Log the images under ``name``."""
        gallery.images(name, self.images, self.captions)


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

    def show(self, gallery: Gallery, name: str) -> None:
        """Log the sounds under ``name``."""
        gallery.sounds(name, self.waveforms, self.rate, self.captions)
