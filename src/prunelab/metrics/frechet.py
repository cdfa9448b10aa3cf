"""Fréchet distance between Gaussians fitted to features of generated and of real data."""

import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Text, settings
from prunelab.metrics.intervals import spread
from prunelab.metrics.passthrough import PassThrough


@settings
class FrechetDistance:
    """‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½), Heusel et al. (2017); lower is better, 0 for equal moments.

    On the task's own feature network, so the values compare rows of one report, not papers. Falls with
    the number of samples: compare equal numbers only.
    """

    name: Text = "frechet_distance"

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over sampling seeds, smallest and largest; undefined without real data."""
        if not len(reference.real):
            return UNDEFINED
        features = generated.features.detach().cpu().double()
        metric = FrechetInceptionDistance(PassThrough(features.shape[-1]), reset_real_features=False)
        metric.update(reference.real.detach().cpu().double(), real=True)
        distances = []
        for of_one_seed in features:
            metric.update(of_one_seed, real=False)
            distances.append(metric.compute().double())
            metric.reset()
        return spread(torch.stack(distances), features.shape[0] * features.shape[1])
