"""Taylor scores over the timesteps that matter: what the loss would change by if an element's weights were 0.

Diff-Pruning (Fang, Ma and Wang, NeurIPS 2023, arXiv 2305.10924): with L_t the model's own loss at timestep t,
L_max the largest of them and T a threshold, gradients are summed, signed, over the timesteps t = 0, 1, ...
before the first with L_t / L_max <= T, and only then made positive:

    score(e) = sum_k | w_ek * sum_{t in prefix} dL_t / dw_ek |            over the weights w_ek of element e.

``importance``: sum_abs as above; abs_sum, plain Taylor, which takes | sum_k w_ek g_ek | per weight matrix;
squared, sum_k (w_ek g_ek)^2 plus |w g| of norms, which the paper's own experiments ran. Biases and norms
count in no other case, except where a unit holds nothing else. ``crossing``: the first timestep at or below
T counts, too, as in the paper's script for diffusers, but not in its own runs. Losses and gradients are sums
over examples, so the prefix, fixed before any gradient is taken, is the same for any number of ranks.
"""

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.meanings import STRUCTURED, Meaning
from prunelab.core.observation import Observation
from prunelab.core.protocols import Calibration, Model
from prunelab.core.scores import Scores
from prunelab.core.settings import Count, Seed, Share, settings
from prunelab.core.units import Slice, Unit
from prunelab.scorers.loss_gradients import Denoising, key, parameters_of


@settings
class Taylor:
    """``samples`` training examples with one noise each, at every ``stride``-th timestep from 0 on.

    threshold: a share in [0, 1), or None for all timesteps. crossing: whether the first timestep below it is
    included. ``batch_size`` examples are seen at once.
    """

    means: ClassVar[Meaning] = STRUCTURED

    samples: Count = 32
    threshold: Share | None = 0.05
    stride: Count = 1
    importance: Literal["sum_abs", "abs_sum", "squared"] = "sum_abs"
    batch_size: Count = 16
    seed: Seed = 0
    crossing: bool = False

    def passes(
        self, model: Model, units: Sequence[Unit], calibration: Calibration
    ) -> Generator[Observation, Mapping[str, Tensor], Scores]:
        """First the losses, which fix the timesteps, then the gradients, which give the scores."""
        timesteps = torch.arange(0, model.timesteps, self.stride)
        denoising = Denoising(model, calibration, self.seed)
        observation = partial(Observation, model, self.samples, self.batch_size)
        if self.threshold is not None:
            losses = yield observation(partial(denoising.losses, timesteps))
            timesteps = timesteps[: prefix(losses["losses"], self.threshold, self.crossing)]
        parameters = parameters_of(model, units)
        gradients = yield observation(partial(denoising.gradients, parameters, timesteps))
        return {unit.name: self._score(unit, model.components[unit.component], gradients) for unit in units}

    def _score(self, unit: Unit, component: nn.Module, gradients: Mapping[str, Tensor]) -> Tensor:
        """float64 of shape (elements,); the mean over the examples, as the loss is one."""
        weights = {piece.parameter: component.get_parameter(piece.parameter) for piece in unit.slices}
        matrices = [piece for piece in unit.slices if weights[piece.parameter].ndim > 1]
        score = torch.zeros(unit.elements, dtype=torch.float64)
        for piece in unit.slices if self.importance == "squared" or not matrices else matrices:
            weight = piece.view(weights[piece.parameter].detach(), unit.elements).double().cpu()
            gradient = piece.view(gradients[key(unit, piece)], unit.elements) / self.samples
            score += self._importance(weight * gradient, piece, piece in matrices)
        return score

    def _importance(self, products: Tensor, piece: Slice, matrix: bool) -> Tensor:
        """``products`` w * g of shape (elements, weights) to (elements,)."""
        match self.importance:
            case "abs_sum":
                return products.sum(dim=1).abs()
            case "squared" if matrix:
                return products.square().sum(dim=1)
            case "squared" if piece.parameter.endswith(".bias"):
                return products.new_zeros(len(products))
        return products.abs().sum(dim=1)


def prefix(losses: Tensor, threshold: float, crossing: bool = False) -> int:
    """How many timesteps come before the first whose loss is at most ``threshold`` of the largest.

    ``crossing``: that one is counted in.
    """
    below = (losses <= threshold * losses.max()).nonzero()
    count = int(below[0]) if len(below) else len(losses)
    if count == 0:
        raise Refusal(
            f"scorer.threshold={threshold} leaves no timestep: the loss at t=0 is already below it "
            "(the prefix is meant for losses that fall with t); use scorer.threshold=null"
        )
    return min(count + crossing, len(losses))
