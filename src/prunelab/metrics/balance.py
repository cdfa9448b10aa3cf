"""Whether samples show the classes as often as real data do."""

from typing import ClassVar

import torch
from torch import Tensor

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Text, settings
from prunelab.metrics.intervals import spread


@settings
class ClassImbalance:
    """Total variation distance of the classes' shares, ½ Σ |p - q|, averaged over labels; lower is better.

    p: of what the judge says that the samples of one seed show; q: of what it says of the real data. Between
    0 (equal shares) and 1 (no class in common). Finite samples of a perfect model have some distance too,
    which shrinks with their number: compare equal numbers only.
    """

    name: Text = "class_imbalance"

    quantity: ClassVar[Quantity] = Quantity(
        "Class imbalance", "lower", "distance of the classes' shares to those of real data"
    )

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over sampling seeds, smallest and largest; undefined without names or real data."""
        if not generated.predictions or not reference.classes:
            return UNDEFINED
        of_labels = [
            _distances(predicted, reference.classes[label])
            for label, predicted in generated.predictions.items()
        ]
        return spread(torch.stack(of_labels).mean(dim=0), next(iter(generated.predictions.values())).shape[1])


def _distances(predicted: Tensor, real: Tensor) -> Tensor:
    """Of predicted classes (S, n) and real ones (r,), a distance per seed, shape (S,)."""
    classes = int(max(predicted.max(), real.max())) + 1
    wanted = real.bincount(minlength=classes).double() / real.numel()
    drawn = [row.bincount(minlength=classes).double() / row.numel() for row in predicted]
    return (torch.stack(drawn) - wanted).abs().sum(dim=1) / 2
