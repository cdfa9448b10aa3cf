"""How many samples the judge recognises as something, where nothing was asked for."""

from typing import ClassVar

import torch

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Fraction, Text, settings
from prunelab.metrics.intervals import bootstrap


@settings
class Recognisable:
    """The share of samples whose every label's largest probability exceeds ``sure``; higher is better.

    Never read it alone: a collapsed model that draws one and the same shape, even a blot, can have a judge
    who is sure of it every time. Only together with the Fréchet distance and the balance does it mean
    anything.
    """

    name: Text = "recognisable"
    sure: Fraction = 0.9

    quantity: ClassVar[Quantity] = Quantity(
        "Recognisable", "higher", "samples the judge is sure of; only with the Fréchet distance", percent=True
    )

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The share over all seeds and draws; undefined where the judge names nothing."""
        if not generated.confidences:
            return UNDEFINED
        sure = [confidence > self.sure for confidence in generated.confidences.values()]
        return bootstrap(torch.stack(sure).all(dim=0), reference.prompts)
