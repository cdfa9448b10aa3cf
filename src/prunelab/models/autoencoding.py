"""Media to latents: the autoencoder's own encoding, scaled and packed as the pipeline's loop has its latents.

How latents are scaled, shifted and packed is not said but seen: the pipeline is asked to decode latents that
count their own places, and what reaches the autoencoder tells where each of them went and by what it was
multiplied. Encoding is the inverse of that.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunelab.core.errors import Refusal
from prunelab.surgery.tiling import decoded, encoded

BASE = 32  # digits of this base are told apart in half precision, scaled as they are
LARGE = 1024.0


class Pixels:
    """Latents that are the pictures themselves, in [-1, 1]."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.picture_shape = shape

    def encode(self, pictures: Tensor) -> Tensor:
        """As they are."""
        return pictures

    decode = encode


class Autoencoding:
    """What ``autoencoder`` makes of pictures in [-1, 1], as latents of shape (b, *latent_shape).

    path: latents -> what the pipeline hands to the autoencoder for them.
    """

    def __init__(
        self, autoencoder: Any, latent_shape: Sequence[int], path: Callable[[Tensor], Tensor]
    ) -> None:
        self.autoencoder, self.latent_shape, self.path = autoencoder, tuple(latent_shape), path

    def encode(self, pictures: Tensor) -> Tensor:
        """Of a posterior the mean, so that nothing is drawn; of a VQModel what decoding quantises."""
        found = encoded(self.autoencoder, self._arranged(pictures).to(self._dtype))
        plain = _mean(found).reshape(len(pictures), -1).float()
        places, factors, shifts = (each.to(plain.device) for each in self._inverse)
        if plain.shape[1] != len(places):
            raise Refusal(
                f"media of shape {tuple(pictures.shape[1:])} become {plain.shape[1]} numbers, where the "
                f"model's latents have {len(places)}: give media of shape {self.picture_shape}"
            )
        values = (plain - shifts) * factors
        return torch.zeros_like(values).index_copy(1, places, values).unflatten(1, self.latent_shape)

    def _arranged(self, pictures: Tensor) -> Tensor:
        """Videos (b, frames, channels, h, w) with their frames where the autoencoder has them."""
        sides = 1 + len(self.picture_shape)
        if pictures.ndim == 4 and sides == 5:
            pictures = pictures[:, :, None]  # a video of one frame
        elif pictures.ndim == 5:
            pictures = pictures.transpose(1, 2) if sides == 5 else pictures.flatten(0, 1)
        if pictures.ndim != sides:
            raise Refusal(
                f"the autoencoder reads {self.picture_shape} a sample, the data have "
                f"{tuple(pictures.shape[1:])}: data like these cannot be encoded for this model"
            )
        return pictures

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures of about [-1, 1], before anything is cut off."""
        return decoded(self.autoencoder, self.path(latents))

    @property
    def _dtype(self) -> torch.dtype:
        found: torch.dtype = next(self.autoencoder.parameters()).dtype
        return found

    @cached_property
    def picture_shape(self) -> tuple[int, ...]:
        """Of one sample's picture: channels first."""
        with torch.no_grad():
            pictures = self.decode(self._latents(0.0))
        return tuple(pictures.shape[1:])

    @cached_property
    def _inverse(self) -> tuple[Tensor, Tensor, Tensor]:
        """For each number that is decoded: where among the latents it lies, its factor and its shift."""
        shifts = self._seen(0.0)
        steps = (self._seen(LARGE) - shifts) / LARGE
        count = self._latents(0.0).numel()
        digits, places = torch.arange(count), torch.zeros(count, dtype=torch.long)
        for power in range(len(np.base_repr(count - 1, BASE))):
            digit = (digits // BASE**power % BASE).float()
            places += ((self._seen(digit) - shifts) / steps).round().long() * BASE**power
        if steps.shape[0] != count or not torch.equal(places.sort().values, digits):
            raise Refusal(
                "the pipeline does not decode its latents one by one, so data cannot be encoded for it: "
                "train and score on its own samples (data=prompt_list)"
            )
        return places, self._as_said(1 / steps, "scaling_factor"), self._as_said(shifts, "shift_factor")

    def _as_said(self, seen: Tensor, name: str) -> Tensor:
        """The configuration's own number where that is what was seen, but for its round-off."""
        said = self.autoencoder.config.get(name)
        relative, absolute = (1e-5, 1e-6) if self._dtype == torch.float32 else (0.02, 0.01)
        if said is None or not torch.allclose(seen, torch.tensor(float(said)), relative, absolute):
            return seen
        return torch.full_like(seen, float(said))

    def _seen(self, values: Tensor | float) -> Tensor:
        """What the autoencoder is given for latents of these values, (numbers,), on the CPU."""
        return self.path(self._latents(values)).flatten().float().cpu()

    def _latents(self, values: Tensor | float) -> Tensor:
        parameter = next(self.autoencoder.parameters())
        blank = torch.zeros(1, *self.latent_shape, device=parameter.device, dtype=parameter.dtype)
        return blank + (values.reshape(blank.shape).to(blank) if isinstance(values, Tensor) else values)


def _mean(found: Any) -> Tensor:
    """The latents in what an autoencoder's ``encode`` returns: of a posterior its mean."""
    if hasattr(found, "latent_dist"):
        posterior = found.latent_dist
        return posterior.mean if hasattr(posterior, "mean") else posterior.mode()
    return torch.as_tensor(found.latents if hasattr(found, "latents") else found.latent)
