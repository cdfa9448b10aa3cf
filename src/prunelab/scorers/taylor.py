"""Taylor scores over the timesteps that matter: what the loss would change by if an element's weights were 0.

Diff-Pruning (Fang, Ma and Wang, NeurIPS 2023, arXiv 2305.10924): with L_t the model's own loss at timestep t,
L_max the largest of them and T a threshold, gradients are summed, signed, over the timesteps t = 0, 1, ...
before the first with L_t / L_max <= T, and only then made positive:

    score(e) = sum_k | w_ek * sum_{t in prefix} dL_t / dw_ek |            over the weights w_ek of element e.

``importance``: sum_abs as above; abs_sum, plain Taylor, which takes | sum_k w_ek g_ek | per weight matrix;
squared, sum_k (w_ek g_ek)^2 plus |w g| of norms, which the paper's own experiments ran. Biases and norms
count in no other case, except where a unit holds nothing else. ``crossing``: the first timestep at or below
T counts, too, as in the paper's script for diffusers, but not in its own runs. Losses and gradients are sums
over examples, so the prefix is the same for any number of ranks.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from prunelab.core.errors import Refusal
from prunelab.core.halves import Averaged, Reading, averaged, between_batches
from prunelab.core.meanings import STRUCTURED, Meaning
from prunelab.core.observation import EARLY, Observation
from prunelab.core.prices import DOUBLE, Price
from prunelab.core.protocols import Calibration, Model
from prunelab.core.settings import Agreement, Count, Later, Seed, Share, settings
from prunelab.core.units import Slice, Unit
from prunelab.scorers.loss_gradients import LOSSES, Denoising, key, parameters_of

FIRST, MOST = 8, 64  # timesteps of one pass


@settings
class Taylor:
    """``samples`` training examples with one noise each, at every ``stride``-th timestep from 0 on.

    threshold: a share in [0, 1), or None for all timesteps. crossing: whether the first timestep below it is
    included. ``batch_size`` examples are seen at once. stable: with all timesteps, examples are taken in
    doubling rounds until the ranks by both halves of them agree by this (Spearman).
    """

    means: ClassVar[Meaning] = STRUCTURED

    samples: Count = 32
    threshold: Share | None = 0.05
    stride: Count = 1
    importance: Literal["sum_abs", "abs_sum", "squared"] = "sum_abs"
    batch_size: Count = 16
    seed: Seed = 0
    crossing: bool = False
    stable: Later[Agreement] = None

    def __post_init__(self) -> None:
        """Refuse rounds of samples whose timesteps would depend on the samples after them."""
        if self.stable is not None and self.threshold is not None:
            raise Refusal(
                f"scorer.stable={self.stable} adds samples round by round, scorer.threshold={self.threshold} "
                "chooses timesteps by all of them: use scorer.threshold=null, or scorer.stable=null"
            )

    def price(self, model: Model, units: Sequence[Unit]) -> Price:
        """Every sample at every timestep; a prefix that ends before has fewer backward passes.

        With a threshold the last pass is summed apart from those before.
        """
        every = self.samples * len(range(0, model.timesteps, self.stride))
        weights = sum(each.numel() for each in parameters_of(model, units).values())
        sums = weights * DOUBLE * (1 if self.threshold is None else 2)
        return Price(every, every, self.batch_size, sums=sums)

    def passes(
        self, model: Model, units: Sequence[Unit], calibration: Calibration
    ) -> Generator[Observation, Mapping[str, Tensor], Averaged]:
        """A few timesteps after another with losses and gradients, until the threshold ends the prefix."""
        timesteps = torch.arange(0, model.timesteps, self.stride)
        denoising = Denoising(model, calibration, self.seed)
        cut = between_batches(self.samples, self.batch_size)
        asked = Asked(model, denoising, parameters_of(model, units), self.batch_size)
        reading = Reading(units, needs, partial(self._read, model.components))
        if self.threshold is None:
            look = partial(asked.gradients, timesteps)
            return (yield from averaged(self.samples, self.stable, cut, look, reading))
        every = (range(self.samples), cut)
        gradients = yield from self._within(self.threshold, asked, every, timesteps)
        return Averaged(gradients, self.samples, cut, reading)

    def _within(
        self, threshold: float, asked: "Asked", every: tuple[range, int], timesteps: Tensor
    ) -> Generator[Observation, Mapping[str, Tensor], Mapping[str, Tensor]]:
        """The gradients summed over the prefix.

        The largest loss may lie behind the first that is small beside those before: so what is left is looked
        at, too, without gradients. What was summed beyond the prefix is summed again without it. Of the
        passes no more is held than the last one's sums beside those of all before it.
        """
        losses, before, last = torch.empty(0, dtype=torch.float64), dict[str, Tensor](), dict[str, Tensor]()
        start = 0
        while len(losses) < len(timesteps) and not crossed(losses, threshold):
            start, before, last = len(losses), added(before, last), {}
            taken = timesteps[start : start + pace(losses, threshold)]
            last, seen = _apart((yield asked.gradients(taken, *every)))
            losses = torch.cat([losses, seen])
        known = len(losses)
        if known < len(timesteps):
            losses = torch.cat([losses, (yield asked.losses(timesteps[known:], every[0]))[LOSSES]])
        count = prefix(losses, threshold, self.crossing)
        if count == known:
            return added(before, last)
        start, before, last = (start, before, {}) if count >= start else (0, {}, {})
        if count == start:
            return before
        last, _ = _apart((yield asked.gradients(timesteps[start:count], *every)))
        return added(before, last)

    def _read(
        self,
        components: Mapping[str, nn.Module],
        unit: Unit,
        gradients: Mapping[str, Tensor],
        samples: int,
    ) -> Tensor:
        """float64 of shape (elements,); the mean over the examples, as the loss is one."""
        component = components[unit.component]
        weights = {piece.parameter: component.get_parameter(piece.parameter) for piece in unit.slices}
        matrices = [piece for piece in unit.slices if weights[piece.parameter].ndim > 1]
        score = torch.zeros(unit.elements, dtype=torch.float64)
        for piece in unit.slices if self.importance == "squared" or not matrices else matrices:
            weight = piece.view(weights[piece.parameter].detach(), unit.elements).double().cpu()
            gradient = piece.view(gradients[key(unit, piece)], unit.elements) / samples
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


@dataclass(frozen=True)
class Asked:
    """The observations of one scoring, by timesteps."""

    model: Model
    denoising: Denoising
    parameters: Mapping[str, nn.Parameter]
    batch_size: int

    def gradients(self, timesteps: Tensor, part: range, cut: int) -> Observation:
        """Gradients, summed over the timesteps, and losses, of these samples."""
        look = partial(self.denoising.gradients, self.parameters, timesteps)
        return Observation(self.model, len(part), self.batch_size, look, part.start, cut)

    def losses(self, timesteps: Tensor, part: range) -> Observation:
        """Losses alone."""
        look = partial(self.denoising.losses, timesteps)
        return Observation(self.model, len(part), self.batch_size, look, part.start)


def needs(unit: Unit, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of the unit's parameters."""
    return {name: gradients[name] for name in (key(unit, piece) for piece in unit.slices)}


def _apart(seen: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """The gradients, and the losses, whose timesteps differ from pass to pass."""
    others = (LOSSES, f"{EARLY}{LOSSES}")
    return {name: each for name, each in seen.items() if name not in others}, seen[LOSSES]


def added(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    """The sums of two mappings, either of which may be empty; the first one's tensors become them."""
    for name, each in one.items() if other else ():
        each.add_(other[name])
    return one or other


def crossed(losses: Tensor, threshold: float) -> bool:
    """Whether a loss is at most ``threshold`` of the largest of these."""
    return bool(len(losses)) and bool((losses <= threshold * losses.max()).any())


def pace(losses: Tensor, threshold: float) -> int:
    """How many timesteps to take at once after these: half as many as are left to the threshold.

    That is if losses go on falling as they did from the first on; at most as many as before, or ``FIRST``,
    and ``MOST``. So little is summed in vain, and not every timestep is a pass of its own.
    """
    if not len(losses):
        return FIRST
    far = math.log(float(losses[-1] / losses.max()) / threshold) if threshold > 0 else math.inf
    fall = math.log(float(losses[0] / losses[-1])) / max(1, len(losses) - 1)
    left = far / fall / 2 if fall > 0 else math.inf
    return int(max(1, min(left, max(len(losses), FIRST), MOST)))


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
