"""Latent shift: how far the latents' mean and standard deviation move when one element is gated off.

LD-Pruner (Castells et al., CVPR 2024 workshops, arXiv 2404.11936): with the latents of the same prompts
and noise from the dense model and from the model without element e,

    score(e) = ||mean - mean_e||_2 + ||std - std_e||_2,

mean and std taken over the samples, per latent entry. What the paper leaves open is a knob: ``squared``
norms, ``per_timestep`` (the sum over the sampler's steps instead of the last latents), ``ddof``.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import ClassVar

import torch
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.halves import Averaged, Reading, averaged
from prunelab.core.meanings import EXACT, Meaning
from prunelab.core.observation import EARLY, Observation
from prunelab.core.prices import DOUBLE, Price, under_guidance
from prunelab.core.protocols import Calibration, Model
from prunelab.core.settings import Agreement, Count, Later, NonNegativeCount, Number, Seed, settings
from prunelab.core.units import Unit
from prunelab.surgery.gating import gated


@settings
class LatentShift:
    """``samples`` prompts with one noise each, ``steps`` of the sampler under ``guidance``.

    ``batch_size`` (ablation, sample) pairs go through the sampler at once: gates are per sample, so one
    batch holds many elements' ablations. Set it to ``samples`` for one ablation at a time. stable: samples
    are taken in doubling rounds until the ranks by both halves of them agree by this (Spearman).

    The price is (1 + elements) * samples * steps forward passes of one sample, twice that under guidance, and
    four float64 latents of memory per element (with ``per_timestep`` four per step), two of which are sums
    over half of the samples: cheap for operators and heads, dear for neurons. Channels through norms are left
    out: gated off, they still count in the norm's statistics, so what would be measured is not their removal.
    """

    means: ClassVar[Meaning] = EXACT
    prompts_alone: ClassVar[bool] = True  # nothing else of the examples is looked at
    components: ClassVar[tuple[str, ...]] = ("denoiser",)  # prompts are embedded once, outside the gates

    samples: Count = 32
    steps: Count = 5
    guidance: Number = 1.0
    squared: bool = False
    per_timestep: bool = False
    ddof: NonNegativeCount = 0
    batch_size: Count = 64
    seed: Seed = 0
    stable: Later[Agreement] = None

    def __post_init__(self) -> None:
        """Refuse a standard deviation of nothing."""
        if self.ddof >= self.samples:
            raise Refusal(f"scorer.ddof={self.ddof} leaves nothing of scorer.samples={self.samples}: 0 or 1")

    def price(self, model: Model, units: Sequence[Unit]) -> Price:
        """Every ablation, and the dense model, of every sample at every step."""
        ablations = 1 + sum(unit.elements for unit in units)
        each = self.samples * self.steps * under_guidance(model, self.guidance)
        latents = math.prod(model.latent_shape) * (self.steps if self.per_timestep else 1)
        batch = self.batch_size * under_guidance(model, self.guidance)
        return Price(ablations * each, batch=batch, sums=2 * ablations * latents * DOUBLE)

    def passes(
        self, model: Model, units: Sequence[Unit], calibration: Calibration
    ) -> Generator[Observation, Mapping[str, Tensor], Averaged]:
        """Every element's ablation of every sample, and the dense model's samples first."""
        prompts = calibration.prompts(range(self.samples))
        ends = list(accumulate((unit.elements for unit in units), initial=1))
        rows = {unit.name: slice(*own) for unit, *own in zip(units, ends, ends[1:], strict=False)}

        def observation(part: range, cut: int) -> Observation:
            ablations = Ablations(self, model, units, prompts, part, cut)
            return Observation(model, ablations.rows, self.batch_size, ablations.observe)

        def needs(unit: Unit, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
            names = ("sum", "squares")
            return {name: torch.cat([sums[name][:1], sums[name][rows[unit.name]]]) for name in names}

        reading = Reading(units, needs, lambda _, sums, samples: self._shift(sums, samples))
        return (yield from averaged(self.samples, self.stable, self.samples // 2, observation, reading))

    def _shift(self, statistics: Mapping[str, Tensor], samples: int) -> Tensor:
        """Scores from summed latents, shape (1 + elements, steps, ...), row 0 the dense model."""
        mean = statistics["sum"] / samples
        freedom = max(1, samples - self.ddof)  # of one sample, which half of a few may be, all deviate by 0
        variance = (statistics["squares"] - samples * mean**2).clamp(min=0) / freedom
        return self._distance(mean) + self._distance(variance.sqrt())

    def _distance(self, statistic: Tensor) -> Tensor:
        difference = (statistic - statistic[:1]).flatten(2).norm(dim=2)[1:]
        return (difference**2 if self.squared else difference).sum(dim=1)


class Ablations:
    """The rows (ablation, sample of ``part``), ablation by ablation; ablation 0 is of nothing."""

    def __init__(
        self,
        knobs: LatentShift,
        model: Model,
        units: Sequence[Unit],
        prompts: Sequence[str],
        part: range,
        cut: int,
    ) -> None:
        self.knobs, self.model, self.units, self.prompts = knobs, model, units, prompts
        self.part, self.cut = part, cut
        self.elements = [(unit, i) for unit in units for i in range(unit.elements)]
        self.rows = (1 + len(self.elements)) * len(part)
        # Batches repeat each other's prompts. Embedded in other company they would differ by round-off.
        self.embed = lru_cache(max(1, len(part) // knobs.batch_size))(model.embed)

    def observe(self, rows: range, device: torch.device) -> dict[str, Tensor]:
        """Sums and sums of squares of the latents, shape (1 + elements, steps, ...), of these ablations.

        Those of the samples before ``cut`` are given beside them.
        """
        ablation, sample = zip(*(self._pair(row) for row in rows), strict=True)
        latents = self._latents(ablation, sample, device).transpose(0, 1).double()
        early = [place for place, number in enumerate(sample) if number < self.cut]
        found: dict[str, Tensor] = {}
        for name, values in {"sum": latents, "squares": latents**2}.items():
            found[name] = self._summed(ablation, values)
            if early:
                own = values[torch.tensor(early, device=device)]
                found[f"{EARLY}{name}"] = self._summed([ablation[place] for place in early], own)
        return found

    def _pair(self, row: int) -> tuple[int, int]:
        ablation, sample = divmod(row, len(self.part))
        return ablation, self.part[sample]

    def _summed(self, ablations: Sequence[int], values: Tensor) -> Tensor:
        """``values`` of shape (rows, ...) added up by ablation: sparse, (1 + elements, ...)."""
        found = torch.tensor(ablations).unique_consecutive(return_inverse=True)
        seen, index = (numbers.to(values.device) for numbers in found)
        own = values.new_zeros(len(seen), *values.shape[1:]).index_add(0, index, values)
        shape = (1 + len(self.elements), *values.shape[1:])
        return torch.sparse_coo_tensor(seen[None], own, shape, check_invariants=False)

    def _latents(self, ablation: Sequence[int], sample: Sequence[int], device: torch.device) -> Tensor:
        """Latents after the observed steps, shape (steps or 1, rows, ...)."""
        knobs = self.knobs
        noise = normal(self.model.latent_shape, knobs.seed, sample, "calibration latents", device)
        conditions = self.embed(tuple(self.prompts[i] for i in sample))
        with gated(self.model.components, self.units, self._gates(ablation, device)):
            passed = self.model.sample(conditions, noise, knobs.steps, knobs.guidance)
        return passed if knobs.per_timestep else passed[-1:]

    def _gates(self, ablation: Sequence[int], device: torch.device) -> dict[str, Tensor]:
        """Ones of shape (rows, elements) with a zero where the row's element is off; row 0 gates nothing."""
        gates: dict[str, Tensor] = {}
        for row, number in enumerate(ablation):
            if number:
                unit, element = self.elements[number - 1]
                whole = torch.ones(len(ablation), unit.elements, device=device)
                gates.setdefault(unit.name, whole)[row, element] = 0
        return gates
