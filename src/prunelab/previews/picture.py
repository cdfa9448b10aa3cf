"""Pictures side by side."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prunelab.core.image_files import png
from prunelab.core.previews import Preview


def pictures(state: str, label: str, images: NDArray[np.uint8], captions: Sequence[str]) -> Preview:
    """Images of one model, uint8 of shape (n, height, width, channels) with 1 or 3 channels."""
    assert images.dtype == np.uint8, f"pictures are uint8, not {images.dtype}"
    assert images.ndim == 4, f"pictures have shape (n, h, w, c), not {images.shape}"
    return Preview(state, label, list(captions), [png(image) for image in images])
