"""Videos as their frames, side by side."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prunelab.core.image_files import png
from prunelab.core.previews import Preview

MEDIUM, HEADING = "videos", "Same prompts, same seeds: frames from first to last"
MOST = 8  # frames of a video that are shown, evenly apart


def frames(state: str, label: str, videos: NDArray[np.uint8], captions: Sequence[str]) -> Preview:
    """Videos of one model, uint8 of shape (n, frames, height, width, channels) with 1 or 3 channels."""
    assert videos.dtype == np.uint8, f"frames are uint8, not {videos.dtype}"
    assert videos.ndim == 5, f"videos have shape (n, f, h, w, c), not {videos.shape}"
    count = videos.shape[1]
    shown = np.linspace(0, count - 1, min(count, MOST)).round().astype(int)
    stills = [png(np.concatenate(list(video[shown]), axis=1)) for video in videos]
    return Preview(state, label, list(captions), stills, medium=MEDIUM, heading=HEADING)
