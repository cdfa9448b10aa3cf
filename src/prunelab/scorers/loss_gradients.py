"""The denoising loss of calibration examples at single timesteps, and its gradients.

Both are sums over examples: additive over batches and ranks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.protocols import Calibration, Conditions, Model
from prunelab.core.units import Slice, Unit
from prunelab.scorers.calibrated import latents_of

LOSSES = "losses"
EXACT = 32  # timesteps whose gradients are added up in single precision


def key(unit: Unit, piece: Slice) -> str:
    """What the gradient of a slice's parameter is called: component/parameter."""
    return f"{unit.component}/{piece.parameter}"


def parameters_of(model: Model, units: Iterable[Unit]) -> dict[str, nn.Parameter]:
    """The parameters behind the units, under their ``key``."""
    pairs = [(unit, piece) for unit in units for piece in unit.slices]
    return {key(u, piece): model.components[u.component].get_parameter(piece.parameter) for u, piece in pairs}


class Examples(NamedTuple):
    """Calibration examples: latents and noise of shape (b, ...), and the conditions of their prompts."""

    latents: Tensor
    noise: Tensor
    conditions: Conditions | None


@dataclass(frozen=True)
class Denoising:
    """The model's own loss at ``timesteps``, on calibration examples under one noise each."""

    model: Model
    calibration: Calibration
    seed: int
    _known: dict[tuple[range, torch.device], Examples] = field(default_factory=dict)

    def losses(self, timesteps: Tensor, rows: range, device: torch.device) -> dict[str, Tensor]:
        """``losses`` of shape (timesteps,)."""
        examples = self._examples(rows, device)
        return {LOSSES: torch.stack([self._loss(examples, t).double() for t in timesteps.tolist()])}

    def gradients(
        self, parameters: Mapping[str, nn.Parameter], timesteps: Tensor, rows: range, device: torch.device
    ) -> dict[str, Tensor]:
        """The gradients of ``parameters``, summed over the timesteps, under their names; and ``losses``."""
        sums: dict[str, Tensor] = {}
        losses: list[Tensor] = []
        with torch.enable_grad(), _trainable(list(parameters.values())):
            examples = self._examples(rows, device)
            asked = examples.conditions
            shared = asked is not None and asked.requires_grad  # through a text encoder, by all timesteps
            halved = any(each.element_size() < 4 for each in parameters.values())
            for some in timesteps.split(1 if halved else EXACT):
                for timestep in some.tolist():
                    loss = self._loss(examples, timestep)
                    loss.backward(retain_graph=shared)
                    losses.append(loss.detach().double())
                _check_reached(
                    parameters, [name for name, each in parameters.items() if each.grad is not None]
                )
                _moved_into(sums, parameters)
        return {**sums, LOSSES: torch.stack(losses)}

    def _examples(self, rows: range, device: torch.device) -> Examples:
        """Of these rows; made once, unless gradients reach what reads the prompts."""
        known = self._known.get((rows, device))
        if known is not None:
            return known
        latents = latents_of(self.model, self.calibration, rows, device)
        noise = normal(latents.shape[1:], self.seed, rows, "calibration noise", device)
        made = Examples(latents, noise, self.model.embed(self.calibration.prompts(rows)))
        if made.conditions is None or not made.conditions.requires_grad:
            self._known[rows, device] = made
        return made

    def _loss(self, examples: Examples, timestep: int) -> Tensor:
        """The summed loss of the examples, each the mean over its latent's entries."""
        latents, noise, conditions = examples
        times = torch.full((len(latents),), timestep, device=latents.device)
        # The input asks for a gradient too: torch 2.13 crashes on CPUs in the backward of a group norm
        # whose own input (channels-last) asks for none, as it would behind frozen layers.
        noisy = self.model.noised(latents, times, noise).detach().requires_grad_(torch.is_grad_enabled())
        output = self.model.predict(noisy, times, conditions)
        wanted = self.model.target(latents, times, noise)
        return (output - wanted).pow(2).flatten(1).mean(dim=1).sum()


def _moved_into(sums: dict[str, Tensor], parameters: Mapping[str, nn.Parameter]) -> None:
    """Add the parameters' gradients to the sums, and forget them.

    The first are kept as they are; as soon as there is something to add, sums are float64.
    """
    for name, each in parameters.items():
        own = torch.zeros_like(each) if each.grad is None else each.grad
        each.grad = None
        sums[name] = sums[name].double().add_(own) if name in sums else own


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
