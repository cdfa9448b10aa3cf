"""Kernel distance between features of generated and of real data."""

from dataclasses import replace

import torch
from torch import Tensor

from prunelab.core.draws import order
from prunelab.core.estimates import NOTHING_REAL, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Runtime, Several, Text, settings
from prunelab.metrics.floor import floor
from prunelab.metrics.intervals import spread

CELLS = 4_000_000  # of a kernel matrix at once, which bounds the memory to some 100 MB


@settings
class KernelDistance:
    """Unbiased squared MMD under the kernel (x·y/d + 1)³, Bińkowski et al. (2018); lower is better.

    Equation 3 of Gretton et al. (2012), JMLR 13, over all pairs: the mean of k(x, x') over two generated
    samples, plus that over two real ones, less twice that over one of each. It may be slightly negative for
    equal distributions. torchmetrics takes random subsets of equal sizes instead, whose choice alone moved
    the value by per cents. most: samples compared with each other; of more, the mean over random parts
    that hold at most so many and together all, Zaremba et al. (2013), which is unbiased too.
    """

    name: Text = "kernel_distance"
    most: Several = 20_000
    title: Runtime[Text] = "Kernel distance"

    @property
    def quantity(self) -> Quantity:
        """See the class; of sounds it has another name and title."""
        hint = "squared MMD between features of samples and of real data"
        return Quantity(self.title, "lower", hint, aside=True)

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over sampling seeds, smallest and largest; undefined without real data."""
        if not reference.real.numel():
            return NOTHING_REAL
        features, real = (each.detach().cpu().double() for each in (generated.features, reference.real))
        seeds, samples = features.shape[:2]
        found = spread(torch.stack([self._distance(of_one_seed, real) for of_one_seed in features]), samples)
        return replace(found, floor=floor(self._distance, real, seeds, samples))

    def _distance(self, generated: Tensor, real: Tensor) -> Tensor:
        """Of features (n, d) and (r, d), a scalar."""
        fewest, largest = sorted((len(generated), len(real)))
        parts = max(1, min(-(-largest // self.most), fewest // 2))
        if parts == 1:
            return _squared_mmd(generated, real)
        pairs = zip(*(_shuffled(each).tensor_split(parts) for each in (generated, real)), strict=True)
        return torch.stack([_squared_mmd(*pair) for pair in pairs]).mean()


def _shuffled(rows: Tensor) -> Tensor:
    return rows[order(len(rows), 0, 0, "parts of the kernel distance")]


def _squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """Of (n, d) and (m, d), all pairs of different samples."""
    return _within(x) + _within(y) - 2 * _total(x, y) / (len(x) * len(y))


def _within(x: Tensor) -> Tensor:
    """The mean of k over pairs of two different rows."""
    same = (x.square().sum(dim=1) / x.shape[1] + 1).pow(3).sum()
    return (_total(x, x) - same) / (len(x) * (len(x) - 1))


def _total(x: Tensor, y: Tensor) -> Tensor:
    """The sum of k over all pairs, some rows of ``x`` at a time."""
    blocks = x.split(max(1, CELLS // len(y)))
    return torch.stack([(rows @ y.T / x.shape[1] + 1).pow(3).sum() for rows in blocks]).sum()
