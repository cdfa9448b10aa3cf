"""Text-to-video: prompts as conditions, frames out."""

from collections.abc import Sequence

from torch import Tensor

from prunelab.core.previews import Preview
from prunelab.core.tasks import Judgement
from prunelab.previews.frames import frames
from prunelab.tasks.images import Images


class TextToVideo(Images):
    """Frames stored as images are, (n, frames, channels, height, width); the judge looks at each alone.

    Data with the columns ``video`` and ``caption``, or prompts alone.
    """

    about = "videos"
    column = "video"
    captioned = True

    def judged(self, media: Tensor) -> Judgement:
        """Of each video the mean features of its frames; what single frames show names no video."""
        shape, found = media.shape[:2], super().judged(media.flatten(0, 1))
        return Judgement(found.features.unflatten(0, shape).mean(dim=1), {}, {})

    def preview(self, state: str, media: Tensor, captions: Sequence[str]) -> Preview:
        """The frames of every video side by side."""
        return frames(state, "", media.permute(0, 1, 3, 4, 2).numpy(), captions)
