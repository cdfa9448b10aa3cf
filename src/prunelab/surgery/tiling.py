"""Autoencoders asked as they can be: some work by tiles alone, and have the frames of a video first."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def tiled(autoencoder: Any, run: Callable[[], T]) -> T:
    """What ``run`` returns, by tiles where ``autoencoder`` does nothing without, as its users enable them."""
    try:
        return run()
    except NotImplementedError:
        if getattr(autoencoder, "use_tiling", True):
            raise
        autoencoder.enable_tiling()
    return run()


def encoded(autoencoder: Any, media: Tensor) -> Any:
    """What ``autoencoder`` encodes media to."""
    return tiled(autoencoder, lambda: autoencoder.encode(media))


def decoded(autoencoder: Any, latents: Tensor) -> Tensor:
    """What ``autoencoder`` decodes: (batch, channels, ...), the frames of a video behind the channels."""
    found: Tensor = tiled(autoencoder, lambda: autoencoder.decode(latents)).sample
    channels = autoencoder.config.get("out_channels")
    frames_first = found.ndim == 5 and found.shape[2] == channels != found.shape[1]
    return found.transpose(1, 2) if frames_first else found
