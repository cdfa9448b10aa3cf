"""What tasks that make images do alike: how images are stored and looked at."""

from collections.abc import Sequence

import torch
from torch import Tensor

from prunelab.core.previews import Preview
from prunelab.previews.picture import pictures
from prunelab.tasks.judged_data import JudgedData


class Images(JudgedData):
    """Stored as uint8 (n, channels, height, width); looked at side by side."""

    about = "images"
    column = "image"

    def stored(self, media: Tensor) -> Tensor:
        """Images in [0, 1], rounded to whole numbers up to 255."""
        return (media * 255).round().to("cpu", torch.uint8)

    def preview(self, state: str, media: Tensor, captions: Sequence[str]) -> Preview:
        """The images with what was asked for."""
        return pictures(state, "", media.permute(0, 2, 3, 1).numpy(), captions)
