"""Kernel distance between features of generated and of real data."""

import warnings

import torch
from torch import Tensor
from torchmetrics.image.kid import KernelInceptionDistance

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Count, Seed, Several, Text, settings
from prunelab.metrics.intervals import spread
from prunelab.metrics.passthrough import PassThrough


@settings
class KernelDistance:
    """Unbiased squared MMD under the kernel (x·y/d + 1)³, Bińkowski et al. (2018); lower is better.

    It may be slightly negative for equal distributions. subset_size: samples compared at a time, all of
    them where there are fewer. subsets: random subsets averaged, where a subset is not everything.
    seed: of the subsets.
    """

    name: Text = "kernel_distance"
    subset_size: Several = 1000
    subsets: Count = 100
    seed: Seed = 0

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over sampling seeds, smallest and largest; undefined without real data."""
        if not len(reference.real):
            return UNDEFINED
        features = generated.features.detach().cpu().double()
        real = reference.real.detach().cpu().double()
        distances = torch.stack([self._distance(of_one_seed, real) for of_one_seed in features])
        return spread(distances, features.shape[0] * features.shape[1])

    def _distance(self, generated: Tensor, real: Tensor) -> Tensor:
        """Of features (n, d) and (r, d), a scalar; torchmetrics draws subsets from the global generator."""
        size = min(self.subset_size, len(generated), len(real))
        everything = len(generated) == len(real) == size
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.filterwarnings("ignore", message=".*will save all extracted features in buffer.*")
            torch.manual_seed(self.seed)
            metric = KernelInceptionDistance(
                PassThrough(real.shape[-1]), subsets=1 if everything else self.subsets, subset_size=size
            )
            metric.update(real, real=True)
            metric.update(generated, real=False)
            mean, _ = metric.compute()
        return mean
