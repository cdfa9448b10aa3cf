"""Media as models see them, and as they are stored: pictures, sounds, videos."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from prunelab.core.waveforms import scaled


class Media(Protocol):
    """What a pipeline's pictures stand for, where they are not themselves what is made."""

    makes: str

    def to_pictures(self, media: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Stored media to pictures (batch, *shape) of about [-1, 1]."""

    def from_pictures(self, pictures: Tensor) -> Tensor:
        """The inverse."""


class Plain:
    """Media that the pipeline makes itself."""

    def __init__(self, makes: str) -> None:
        self.makes = makes

    def to_pictures(self, media: Tensor, shape: tuple[int, ...]) -> Tensor:
        """uint8 pictures, or int16 sounds (batch, channels, samples), to [-1, 1]."""
        return scaled(media) if self.makes == "sounds" else media.float() / 127.5 - 1

    def made(self, found: Any) -> Tensor:
        """What a pipeline's call returns as a tensor with its channels first: (batch, channels, ...)."""
        if isinstance(found, list):
            found = np.stack([np.asarray(each) for each in found])
        if isinstance(found, np.ndarray):
            found = torch.from_numpy(found)
            found = found.movedim(-1, -3) if self.makes != "sounds" else found
        return found[:, None] if self.makes == "sounds" and found.ndim == 2 else found
