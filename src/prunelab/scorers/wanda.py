"""Wanda: a weight counts by its size and by how loud its input is.

Sun, Liu, Bair and Kolter, "A Simple and Effective Pruning Approach for Large Language Models" (ICLR 2024,
arXiv 2306.11695): for a weight from input feature j to output i,

    score(i, j) = |W_ij| * ||x_j||_2,

the norm over everything the feature showed on calibration data. Here it is the root of the mean, over the
samples, of the feature's squares summed over a sample's tokens or pixels, as in the study of Stable
Diffusion 2 (arXiv 2411.15113): a factor per matrix away from the paper's. Text encoders see prompts,
denoisers noisy latents of the same draws; a convolution's feature is a channel at a place of its kernel.
All scores are of the dense model; Wanda's sequential form, which sees what was pruned before, is iterative
pruning.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from prunelab.core.draws import integers, normal
from prunelab.core.protocols import Calibration, Model, Observation
from prunelab.core.scores import Scores
from prunelab.core.settings import Count, Seed, settings
from prunelab.core.units import Unit


@settings
class Wanda:
    """``samples`` training examples, ``batch_size`` at a time, each at one noise and timestep.

    padding: whether the text encoder's padding tokens count, as they do in the study.
    """

    granularities: ClassVar[tuple[str, ...]] = ("weight", "conv_weight")
    components: ClassVar[tuple[str, ...]] = ("text_encoder", "denoiser")

    samples: Count = 128
    padding: bool = True
    batch_size: Count = 16
    seed: Seed = 0

    def passes(
        self, model: Model, units: Sequence[Unit], calibration: Calibration
    ) -> Generator[Observation, Mapping[str, Tensor], Scores]:
        """One observation: the squares of every unit's inputs; then the weights are read."""
        squares = yield Inputs(self, model, units, calibration)
        return {
            unit.name: _score(unit, model.components[unit.component], squares[unit.name] / self.samples)
            for unit in units
        }


def _score(unit: Unit, component: nn.Module, squares: Tensor) -> Tensor:
    """float64 of shape (elements,) from the mean squares of the inputs, one per feature of every group."""
    assert unit.matrix is not None
    rows, columns = unit.matrix
    weight = component.get_parameter(f"{unit.path}.weight").detach().cpu().double().reshape(unit.matrix)
    norms = squares.sqrt().reshape(-1, columns)
    return (weight.abs() * norms.repeat_interleave(rows // len(norms), dim=0)).flatten()


class Inputs:
    """Sums over the samples of the squared inputs: unit name -> float64 of shape (features,)."""

    def __init__(self, knobs: Wanda, model: Model, units: Sequence[Unit], calibration: Calibration) -> None:
        self.knobs, self.model, self.units, self.calibration = knobs, model, units, calibration
        self.chunks = -(-knobs.samples // knobs.batch_size)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move the model."""
        self.model.to(device)
        self.device = device

    @torch.no_grad()
    def observe(self, chunk: int) -> dict[str, Tensor]:
        """The sums of one chunk of samples."""
        start = chunk * self.knobs.batch_size
        draws = range(start, min(start + self.knobs.batch_size, self.knobs.samples))
        sums: dict[str, Tensor] = {}
        prompts = self.calibration.prompts(draws)
        with self._recorded("text_encoder", self._counted(prompts), sums):
            conditions = self.model.embed(prompts)
        if any(unit.component == "denoiser" for unit in self.units):
            with self._recorded("denoiser", None, sums):
                self._denoise(draws, conditions)
        return sums

    def _counted(self, prompts: Sequence[str]) -> Tensor | None:
        """Which tokens count, bool (batch, tokens); None for all."""
        return None if self.knobs.padding else self.model.real_tokens(prompts).to(self.device)

    def _denoise(self, draws: range, conditions: Tensor | None) -> None:
        latents = self.model.encode(self.calibration.media(draws).to(self.device))
        noise = normal(latents.shape[1:], self.knobs.seed, draws, "calibration noise").to(self.device)
        times = integers(self.model.timesteps, self.knobs.seed, draws, "calibration timestep").to(self.device)
        self.model.predict(self.model.noised(latents, times, noise), times, conditions)

    @contextmanager
    def _recorded(self, component: str, counted: Tensor | None, sums: dict[str, Tensor]) -> Iterator[None]:
        """Inside the context, every forward of the component's units adds to ``sums``."""
        handles = [
            _watch(
                self.model.components[component].get_submodule(unit.path), counted, _adder(sums, unit.name)
            )
            for unit in self.units
            if unit.component == component
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _adder(sums: dict[str, Tensor], name: str) -> Callable[[Tensor], None]:
    def add(squares: Tensor) -> None:
        sums[name] = sums[name] + squares if name in sums else squares

    return add


def _watch(module: nn.Module, counted: Tensor | None, add: Callable[[Tensor], None]) -> RemovableHandle:
    """Hand the squares of each input of ``module``, summed per feature, to ``add``."""

    def see(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        squares = cast(Tensor, inputs[0]).double().square()
        if counted is not None:
            squares = squares * counted[:, :, None]
        add(_patches(squares, module) if isinstance(module, nn.Conv2d) else squares.flatten(0, -2).sum(dim=0))

    return module.register_forward_pre_hook(see)


def _patches(squares: Tensor, module: nn.Conv2d) -> Tensor:
    """(batch, channels, h, w) to the sums over all places where the kernel is laid: (channels * kernel,)."""
    padding: Any = module.padding
    columns = F.unfold(squares, module.kernel_size, module.dilation, padding, module.stride)
    return columns.sum(dim=(0, 2))
