"""Text-to-video: prompts as conditions, frames out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from prunelab.core.previews import Preview
from prunelab.core.tasks import Judgement
from prunelab.previews.frames import frames
from prunelab.tasks.judged_data import JudgedData


class TextToVideo(JudgedData):
    """Stored as uint8 (n, frames, channels, height, width); the judge looks at every frame alone.

    Data with the columns ``video`` and ``caption``, or prompts alone.
    """

    about = "videos"
    column = "video"
    captioned = True

    def stored(self, media: Tensor) -> Tensor:
        """Frames in [0, 1], rounded to whole numbers up to 255."""
        return (media * 255).round().to("cpu", torch.uint8)

    def judged(self, media: Tensor) -> Judgement:
        """Of each video the mean features of its frames; what single frames show names no video."""
        shape, found = media.shape[:2], super().judged(media.flatten(0, 1))
        return Judgement(found.features.unflatten(0, shape).mean(dim=1), {}, {})

    def preview(self, state: str, media: Tensor, captions: Sequence[str]) -> Preview:
        """The frames of every video side by side."""
        return frames(state, "", media.permute(0, 1, 3, 4, 2).numpy(), captions)
