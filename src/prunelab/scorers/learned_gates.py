"""Learned gates: hard-concrete gates trained through the whole sampler; an element's logit is its score.

EcoDiff (Zhang et al. 2024, arXiv 2412.02852) on the distribution of Louizos et al. (2018, arXiv 1712.01312).
With the logit l of an element and u ~ U(0, 1), drawn anew for every sample and step of the sampler,

    s = sigmoid((log(u + d) - log(1 - u + d) + l) / beta),    gate = clamp(gamma + (zeta - gamma) s, 0, 1).

The logits are the same at all steps. They minimise the mean squared distance between the last latents of
the gated and of the dense model, from the same prompts and noise, plus ``weight`` times a penalty: the mean
of |l| over each unit's elements (published for SDXL), of sigmoid(0.4 l + 1) (published for FLUX), or the
probability that a gate is open (Louizos et al., eq. 12, exact at d = 0); all averaged over the units of a
granularity and summed over the granularities.
Sparsity is asked for afterwards, so one training serves all. Only units whose gates equal their removal are
trained: a channel that passes a norm still counts in the norm's statistics, however closed its gate.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from math import log
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from prunelab.core.draws import generator, normal, visits
from prunelab.core.errors import Refusal
from prunelab.core.meanings import EXACT, Meaning
from prunelab.core.prices import Price, under_guidance
from prunelab.core.protocols import Calibration, Conditions, Model
from prunelab.core.scores import Scores
from prunelab.core.settings import Count, Made, NonNegative, Number, Positive, Runtime, Seed, settings
from prunelab.core.units import Unit
from prunelab.surgery.gating import gated

GAMMA, ZETA = -0.1, 1.1
CHUNK = 8  # prompts that the dense model samples at once: part of the result to round-off, so not a setting


def hard_concrete(logits: Tensor, uniform: Tensor, beta: float, damping: float) -> Tensor:
    """Gates in [0, 1] from logits (elements,) and uniform noise (batch, elements)."""
    noise = (uniform + damping).log() - (1 - uniform + damping).log()
    return ((ZETA - GAMMA) * ((noise + logits) / beta).sigmoid() + GAMMA).clamp(0, 1)


def open_probability(logits: Tensor, beta: float) -> Tensor:
    """The probability that an undamped gate is above 0."""
    return (logits - beta * log(-GAMMA / ZETA)).sigmoid()


def softly_open(logits: Tensor) -> Tensor:
    """What EcoDiff's settings for FLUX take the L1 norm of; it is positive, so it is its own."""
    return (0.4 * logits + 1).sigmoid()


@settings
class LearnedGates:
    """``prompts`` of the calibration data, ``steps`` of the sampler under ``guidance``.

    schedule: of the training; its batches are draws from the prompts. same_noise: one starting latent for
    all prompts, as published; a model without prompts always has one for each draw, or it would be trained
    on a single sample. initial: of the logits. damping: d above; it shrinks the noise, and 0 is the
    distribution of Louizos et al. regulariser: l1, sigmoid_l1 or l0. rates: granularity -> its logits'
    learning rate, where it is not the schedule's. activations: GiB of them that steps of the sampler keep,
    instead of running again on the way back: results are the same.
    """

    means: ClassVar[Meaning] = EXACT
    prompts_alone: ClassVar[bool] = True  # nothing else of the examples is looked at

    schedule: Made
    prompts: Count = 100
    steps: Count = 10
    guidance: Number = 1.0
    same_noise: bool = True
    initial: Number = 3.0
    beta: Positive = 0.83
    damping: NonNegative = 0.5
    regulariser: Literal["l1", "sigmoid_l1", "l0"] = "l1"
    weight: NonNegative = 0.5
    rates: Mapping[str, Positive] | None = None
    activations: Runtime[NonNegative] = 1.0
    seed: Seed = 0

    def price(self, model: Model, units: Sequence[Unit]) -> Price:
        """Every prompt by the dense model once; then every step of every draw, there, again and back."""
        doubled = under_guidance(model, self.guidance)
        drawn = self.schedule.steps * self.schedule.batch_size * self.steps * doubled
        dense = self.prompts * self.steps * doubled
        batch, kept = self.schedule.batch_size * doubled, {"steps": self.steps, "room": self.room}
        return Price(dense + 2 * drawn, drawn, batch, frozen=True, again=drawn, **kept)

    @property
    def room(self) -> int:
        """For activations, in bytes."""
        return int(self.activations * 2**30)

    def objective(self, model: Model, units: Sequence[Unit], calibration: Calibration) -> "GateTraining":
        """What is minimised; refuses units that the sampler's steps do not run through, and odd rates."""
        outside = [unit for unit in units if unit.component != "denoiser"]
        if outside:
            raise Refusal(
                f"learned gates are trained through the sampler's steps, which never run the "
                f"{outside[0].component}: use components=[denoiser], or another scorer"
            )
        for kind in {*(self.rates or {})} - {unit.granularity for unit in units}:
            self._check_rate(kind, model)
        return GateTraining(self, model, units, calibration.prompts(range(self.prompts)))

    def read(self, trained: nn.Module, units: Sequence[Unit]) -> Scores:
        """The logits."""
        pairs = zip(units, trained.parameters(), strict=True)
        return {unit.name: logits.detach().cpu().double() for unit, logits in pairs}

    def _check_rate(self, kind: str, model: Model) -> None:
        """Refuse a rate of a granularity that there is not, or whose gates mean nothing."""
        if not all(self.means.holds(unit) for unit in model.units([kind], ["denoiser"])):
            raise Refusal(f"scorer.rates names {kind!r}: learned gates score {self.means.words}")

    def penalty(self) -> Callable[[Tensor], Tensor]:
        """What the regulariser says of each logit."""
        if self.regulariser == "l0":
            return partial(open_probability, beta=self.beta)
        return torch.abs if self.regulariser == "l1" else softly_open


class GateTraining:
    """Draw i is the i-th prompt of an order shuffled anew for every pass, with gate noise of its own."""

    def __init__(
        self, knobs: LearnedGates, model: Model, units: Sequence[Unit], prompts: Sequence[str]
    ) -> None:
        self.knobs, self.model, self.units, self.prompts = knobs, model, units, prompts
        self.sizes = [unit.elements for unit in units]
        self.trained: nn.Module = nn.ParameterList(torch.full((size,), knobs.initial) for size in self.sizes)
        own = knobs.rates or {}
        self.rates = {str(i): own[u.granularity] for i, u in enumerate(units) if u.granularity in own}
        self.frozen = (model,)

    def batch(self, draws: range) -> dict[str, Tensor]:
        """The numbers of these draws and of their prompts, int64: all else follows from them."""
        items = visits(draws, len(self.prompts), self.knobs.seed, "gate training order")
        return {"draws": torch.tensor(list(draws)), "items": items}

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means over the batch: ``loss`` and its parts ``difference`` and ``penalty``."""
        items, within = batch["items"], partial(self._gated, batch["draws"].tolist())
        latents = self._sample(items, checkpointed=True, room=self.knobs.room, within=within)
        difference = (latents - self.dense[items]).pow(2).mean()
        penalty = self._penalty()
        loss = difference + self.knobs.weight * penalty
        return {"loss": loss, "difference": difference, "penalty": penalty}

    def gates(self, draws: Sequence[int], step: int) -> dict[str, Tensor]:
        """Gates of shape (draws, elements) per unit at one step of the sampler: equal whenever asked for."""
        purpose, seed = f"gate noise of step {step}", self.knobs.seed
        rows = [torch.rand(sum(self.sizes), generator=generator(seed, draw, purpose)) for draw in draws]
        logits = torch.cat(list(self.trained.parameters()))
        values = hard_concrete(
            logits, torch.stack(rows).to(logits.device), self.knobs.beta, self.knobs.damping
        )
        return dict(zip([unit.name for unit in self.units], values.split(self.sizes, dim=1), strict=True))

    @contextmanager
    def _gated(self, draws: Sequence[int], step: int) -> Iterator[None]:
        with gated(self.model.components, self.units, self.gates(draws, step)):
            yield

    def _sample(self, items: Tensor, **options: Any) -> Tensor:
        """The last latents of these prompts."""
        asked, noise, knobs = self._conditions, self._noise[items], self.knobs
        asked = None if asked is None else asked[items]
        return self.model.sample(asked, noise, knobs.steps, knobs.guidance, last=True, **options)[-1]

    def _penalty(self) -> Tensor:
        penalty, kinds = self.knobs.penalty(), dict[str, list[Tensor]]()
        for unit, logits in zip(self.units, self.trained.parameters(), strict=True):
            kinds.setdefault(unit.granularity, []).append(penalty(logits).mean())
        return torch.stack([torch.stack(means).mean() for means in kinds.values()]).sum()

    @cached_property
    def dense(self) -> Tensor:
        """The dense model's last latents of every prompt, computed once."""
        numbers = torch.arange(len(self.prompts), device=self._noise.device)
        with torch.no_grad():
            return torch.cat([self._sample(items) for items in numbers.split(CHUNK)])

    @cached_property
    def _conditions(self) -> Conditions | None:
        with torch.no_grad():
            return self.model.embed(self.prompts)

    @cached_property
    def _noise(self) -> Tensor:
        same = self.knobs.same_noise and self.model.prompted and any(self.prompts)
        draws = [0] * len(self.prompts) if same else range(len(self.prompts))
        where = next(self.trained.parameters()).device
        return normal(self.model.latent_shape, self.knobs.seed, draws, "calibration latents", where)
