"""Latent shift: how far the latents' mean and standard deviation move when one element is gated off.

LD-Pruner (Castells et al., CVPR 2024 workshops, arXiv 2404.11936): with the latents of the same prompts
and noise from the dense model and from the model without element e,

    score(e) = ||mean - mean_e||_2 + ||std - std_e||_2,

mean and std taken over the samples, per latent entry. What the paper leaves open is a knob: ``squared``
norms, ``per_timestep`` (the sum over the sampler's steps instead of the last latents), ``ddof``.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import floordiv, mod
from typing import ClassVar

import torch
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.meanings import EXACT, Meaning
from prunelab.core.observation import Observation
from prunelab.core.prices import Price, under_guidance
from prunelab.core.protocols import Calibration, Model
from prunelab.core.scores import Scores
from prunelab.core.settings import Count, NonNegativeCount, Number, Seed, settings
from prunelab.core.units import Unit
from prunelab.surgery.gating import gated


@settings
class LatentShift:
    """``samples`` prompts with one noise each, ``steps`` of the sampler under ``guidance``.

    ``batch_size`` (ablation, sample) pairs go through the sampler at once: gates are per sample, so one
    batch holds many elements' ablations. Set it to ``samples`` for one ablation at a time.

    The price is (1 + elements) * samples * steps forward passes of one sample, twice that under guidance, and
    two float64 latents of memory per element (with ``per_timestep`` two per step): cheap for operators and
    heads, dear for neurons. Channels through norms are left out: gated off, they still count in the norm's
    statistics, so what would be measured is not their removal.
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

    def __post_init__(self) -> None:
        """Refuse a standard deviation of nothing."""
        if self.ddof >= self.samples:
            raise Refusal(f"scorer.ddof={self.ddof} leaves nothing of scorer.samples={self.samples}: 0 or 1")

    def price(self, model: Model, units: Sequence[Unit]) -> Price:
        """Every ablation, and the dense model, of every sample at every step."""
        ablations = 1 + sum(unit.elements for unit in units)
        each = self.samples * self.steps * under_guidance(model, self.guidance)
        return Price(ablations * each, batch=self.batch_size * under_guidance(model, self.guidance))

    def observation(self, model: Model, units: Sequence[Unit], calibration: Calibration) -> Observation:
        """Every element's ablation of every sample, and the dense model's samples first."""
        ablations = Ablations(self, model, units, calibration.prompts(range(self.samples)))
        return Observation(model, ablations.rows, self.batch_size, ablations.observe)

    def reduce(self, statistics: Mapping[str, Tensor], units: Sequence[Unit]) -> Scores:
        """Scores from the summed latents, shape (1 + elements, steps, ...), row 0 the dense model."""
        mean = statistics["sum"] / self.samples
        variance = (statistics["squares"] - self.samples * mean**2).clamp(min=0) / (self.samples - self.ddof)
        shift = self._distance(mean) + self._distance(variance.sqrt())
        return dict(zip([u.name for u in units], shift.split([u.elements for u in units]), strict=True))

    def _distance(self, statistic: Tensor) -> Tensor:
        difference = (statistic[1:] - statistic[:1]).flatten(2).norm(dim=2)
        return (difference**2 if self.squared else difference).sum(dim=1)


class Ablations:
    """The rows (ablation, sample), ablation by ablation; ablation 0 is of nothing."""

    def __init__(
        self, knobs: LatentShift, model: Model, units: Sequence[Unit], prompts: Sequence[str]
    ) -> None:
        self.knobs, self.model, self.units, self.prompts = knobs, model, units, prompts
        self.elements = [(unit, i) for unit in units for i in range(unit.elements)]
        self.rows = (1 + len(self.elements)) * knobs.samples
        # Batches repeat each other's prompts. Embedded in other company they would differ by round-off.
        self.embed = lru_cache(max(1, knobs.samples // knobs.batch_size))(model.embed)

    def observe(self, rows: range, device: torch.device) -> dict[str, Tensor]:
        """Sums and sums of squares of the latents, shape (1 + elements, steps, ...), of these ablations."""
        ablation, sample = ([place(row, self.knobs.samples) for row in rows] for place in (floordiv, mod))
        latents = self._latents(ablation, sample, device).transpose(0, 1).double()
        found = torch.tensor(ablation).unique_consecutive(return_inverse=True)
        seen, index = (numbers.to(device) for numbers in found)

        def summed(values: Tensor) -> Tensor:
            own = values.new_zeros(len(seen), *values.shape[1:]).index_add(0, index, values)
            shape = (1 + len(self.elements), *values.shape[1:])
            return torch.sparse_coo_tensor(seen[None], own, shape, check_invariants=False)

        return {"sum": summed(latents), "squares": summed(latents**2)}

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
