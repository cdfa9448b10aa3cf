"""The denoising loss of calibration examples at single timesteps, and its gradients.

Both are sums over examples: additive over chunks and ranks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Calibration, Model
from prunelab.core.units import Slice, Unit


def key(unit: Unit, piece: Slice) -> str:
    """What the gradient of a slice's parameter is called: component/parameter."""
    return f"{unit.component}/{piece.parameter}"


class Denoising:
    """The model's own loss at single timesteps, on calibration examples under one noise each."""

    def __init__(
        self, model: Model, calibration: Calibration, samples: int, batch_size: int, seed: int
    ) -> None:
        self.model, self.batch_size, self.seed = model, batch_size, seed
        self.media = calibration.media(range(samples))
        self.prompts = calibration.prompts(range(samples))
        self.chunks = -(-samples // batch_size)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move the model."""
        self.model.to(device)
        self.device = device

    def losses(self, chunk: int) -> Callable[[int], Tensor]:
        """Timestep -> the summed loss of the chunk's examples, each the mean over its latent's entries."""
        start = chunk * self.batch_size
        rows = range(start, min(start + self.batch_size, len(self.media)))
        with torch.no_grad():
            latents = self.model.encode(self.media[start : rows.stop].to(self.device))
        noise = normal(latents.shape[1:], self.seed, rows, "calibration noise").to(self.device)

        def loss(timestep: int) -> Tensor:
            times = torch.full((len(rows),), timestep, device=self.device)
            conditions = self.model.embed(self.prompts[start : rows.stop])
            # The input asks for a gradient too: torch 2.13 crashes on CPUs in the backward of a group norm
            # whose own input (channels-last) asks for none, as it would behind frozen layers.
            noisy = self.model.noised(latents, times, noise).detach().requires_grad_(torch.is_grad_enabled())
            output = self.model.predict(noisy, times, conditions)
            wanted = self.model.target(latents, times, noise)
            return (output - wanted).pow(2).flatten(1).mean(dim=1).sum()

        return loss


class Losses:
    """The loss at every timestep, summed over the examples: ``losses`` of shape (timesteps,)."""

    def __init__(self, denoising: Denoising, timesteps: Tensor) -> None:
        self.denoising, self.timesteps, self.chunks = denoising, timesteps, denoising.chunks
        self.to = denoising.to

    @torch.no_grad()
    def observe(self, chunk: int) -> dict[str, Tensor]:
        """The losses of one chunk of examples."""
        loss = self.denoising.losses(chunk)
        return {"losses": torch.stack([loss(int(t)).double() for t in self.timesteps])}


class Gradients:
    """Gradients of the units' parameters, summed over timesteps and examples, under their ``key``."""

    def __init__(self, denoising: Denoising, timesteps: Tensor, units: Iterable[Unit]) -> None:
        self.denoising, self.timesteps, self.chunks = denoising, timesteps, denoising.chunks
        self.to = denoising.to
        components = denoising.model.components
        self.parameters = {
            key(unit, piece): components[unit.component].get_parameter(piece.parameter)
            for unit in units
            for piece in unit.slices
        }

    def observe(self, chunk: int) -> dict[str, Tensor]:
        """The gradients of one chunk of examples."""
        loss = self.denoising.losses(chunk)
        sums = {name: torch.zeros_like(each, dtype=torch.float64) for name, each in self.parameters.items()}
        with torch.enable_grad(), _trainable(list(self.parameters.values())):
            for timestep in self.timesteps.tolist():
                loss(timestep).backward()
                reached = {n: each.grad for n, each in self.parameters.items() if each.grad is not None}
                _check_reached(self.parameters, reached)
                for name, gradient in reached.items():
                    sums[name] += gradient
                    self.parameters[name].grad = None
        return sums


def _check_reached(names: Iterable[str], reached: Iterable[str]) -> None:
    """Refuse components that the denoising loss does not pass through (an autoencoder)."""
    missing = {name.split("/")[0] for name in names} - {name.split("/")[0] for name in reached}
    if missing:
        raise Refusal(
            f"scorer=taylor cannot score {min(missing)}: the denoising loss does not pass through it; "
            "use scorer=magnitude or components=[denoiser]"
        )


@contextmanager
def _trainable(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside the context gradients reach these parameters; afterwards they are as they were."""
    before = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, value in zip(parameters, before, strict=True):
            parameter.requires_grad_(value).grad = None
