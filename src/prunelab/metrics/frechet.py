"""Fréchet distance between Gaussians fitted to features of generated and of real data."""

from dataclasses import replace

import torch
from torch import Tensor

from prunelab.core.estimates import NOTHING_REAL, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Runtime, Text, settings
from prunelab.metrics.floor import floor
from prunelab.metrics.intervals import spread
from prunelab.metrics.passthrough import PassThrough


@settings
class FrechetDistance:
    """‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½), Heusel et al. (2017); lower is better, 0 for equal moments.

    On the task's own feature network, so the values compare rows of one report, not papers. Falls with
    the number of samples: compare equal numbers only. The floor is real against real at the same number.
    """

    name: Text = "frechet_distance"
    title: Runtime[Text] = "Fréchet distance"

    @property
    def quantity(self) -> Quantity:
        """See the class; of sounds it has another name and title."""
        hint = "between Gaussians fitted to features of samples and of real data"
        return Quantity(self.title, "lower", hint, breaks=True)

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over sampling seeds, smallest and largest; undefined without real data."""
        if not reference.real.numel():
            return NOTHING_REAL
        features, real = (each.detach().cpu().double() for each in (generated.features, reference.real))
        seeds, samples, size = features.shape
        found = spread(torch.stack([_distance(of_one_seed, real) for of_one_seed in features]), samples)
        warning = _warning(min(samples, len(real)), size)
        return replace(found, floor=floor(_distance, real, seeds, samples), warning=warning)


def _distance(generated: Tensor, real: Tensor) -> Tensor:
    """Of features (n, d) and (r, d), a scalar."""
    from torchmetrics.image.fid import FrechetInceptionDistance  # takes seconds

    metric = FrechetInceptionDistance(PassThrough(real.shape[-1]))
    metric.update(real, real=True)
    metric.update(generated, real=False)
    distance: Tensor = metric.compute()
    return distance.double()


def _warning(fewest: int, features: int) -> str | None:
    """What is wrong with a covariance of fewer samples than features, if it is one."""
    if fewest >= features:
        return None
    return (
        f"{fewest} samples are fewer than the {features} features, so a covariance has no full rank and the "
        "distance is mostly bias: raise evaluation.samples and evaluation.real, or read the kernel distance"
    )
