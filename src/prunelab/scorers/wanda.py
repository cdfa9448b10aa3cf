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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from prunelab.core.draws import integers, normal
from prunelab.core.halves import Averaged, Reading, averaged, between_batches
from prunelab.core.meanings import SINGLE_WEIGHTS, Meaning
from prunelab.core.observation import Observation, Sums
from prunelab.core.prices import DOUBLE, Price
from prunelab.core.protocols import Calibration, Conditions, Model
from prunelab.core.settings import Agreement, Count, Later, Seed, settings
from prunelab.core.units import Unit
from prunelab.scorers.calibrated import latents_of


@settings
class Wanda:
    """``samples`` training examples, ``batch_size`` at a time, each at one noise and timestep.

    padding: whether the text encoder's padding tokens count, as they do in the study. stable: samples are
    taken in doubling rounds until the ranks by both halves of them agree by this (Spearman).
    """

    means: ClassVar[Meaning] = SINGLE_WEIGHTS
    components: ClassVar[tuple[str, ...]] = ("text_encoder", "denoiser")

    samples: Count = 128
    padding: bool = True
    batch_size: Count = 16
    seed: Seed = 0
    stable: Later[Agreement] = None

    def price(self, model: Model, units: Sequence[Unit]) -> Price:
        """One pass of every sample, where weights of the denoiser are asked for."""
        seen = any(unit.component == "denoiser" for unit in units)
        sums = sum(_features(unit, model.components[unit.component]) for unit in units) * DOUBLE
        return Price(self.samples if seen else 0, batch=self.batch_size, sums=sums)

    def passes(
        self, model: Model, units: Sequence[Unit], calibration: Calibration
    ) -> Generator[Observation, Mapping[str, Tensor], Averaged]:
        """The squares of every unit's inputs; then the weights are read."""
        inputs = Inputs(self, model, units, calibration)

        def observation(part: range, cut: int) -> Observation:
            return Observation(model, len(part), self.batch_size, inputs.observe, part.start, cut)

        def needs(unit: Unit, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {unit.name: sums[unit.name]}

        def read(unit: Unit, squares: Mapping[str, Tensor], samples: int) -> Tensor:
            return _score(unit, model.components[unit.component], squares[unit.name] / samples)

        cut = between_batches(self.samples, self.batch_size)
        return (yield from averaged(self.samples, self.stable, cut, observation, Reading(units, needs, read)))


def _score(unit: Unit, component: nn.Module, squares: Tensor) -> Tensor:
    """float64 of shape (elements,) from the mean squares of the inputs, one per feature of every group."""
    assert unit.matrix is not None
    rows, columns = unit.matrix
    weight = component.get_parameter(f"{unit.path}.weight").detach().cpu().double().reshape(unit.matrix)
    norms = squares.sqrt().reshape(-1, columns)
    return (weight.abs() * norms.repeat_interleave(rows // len(norms), dim=0)).flatten()


def _features(unit: Unit, component: nn.Module) -> int:
    """How many inputs the unit's rows have, those of every group."""
    assert unit.matrix is not None
    return unit.matrix[1] * int(getattr(component.get_submodule(unit.path), "groups", 1))


@dataclass(frozen=True)
class Inputs:
    """Sums over the samples of the squared inputs: unit name -> float64 of shape (features,)."""

    knobs: Wanda
    model: Model
    units: Sequence[Unit]
    calibration: Calibration

    def observe(self, draws: range, device: torch.device) -> Sums:
        """The sums of these samples."""
        sums = Sums()
        prompts = self.calibration.prompts(draws)
        counted = None if self.knobs.padding else self.model.real_tokens(prompts).to(device)
        with self._recorded("text_encoder", counted, sums):
            conditions = self.model.embed(prompts)
        if any(unit.component == "denoiser" for unit in self.units):
            self._denoise(draws, conditions, device, sums)
        return sums

    def _denoise(self, draws: range, conditions: Conditions | None, device: torch.device, sums: Sums) -> None:
        model, seed = self.model, self.knobs.seed
        latents = latents_of(model, self.calibration, draws, device)
        noise = normal(latents.shape[1:], seed, draws, "calibration noise", device)
        times = integers(model.timesteps, seed, draws, "calibration timestep", device)
        noisy = model.noised(latents, times, noise)
        with self._recorded("denoiser", None, sums):  # the prediction alone, whatever a model runs to encode
            model.predict(noisy, times, conditions)

    @contextmanager
    def _recorded(self, component: str, counted: Tensor | None, sums: Sums) -> Iterator[None]:
        """Inside the context, every forward of the component's units adds to ``sums``."""
        with ExitStack() as stack:
            for unit in self.units:
                if unit.component == component:
                    module = self.model.components[component].get_submodule(unit.path)
                    stack.callback(_watch(module, counted, partial(sums.add, unit.name)).remove)
            yield


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
