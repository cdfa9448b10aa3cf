"""Weight magnitude: the oldest score, and the control that needs no data.

An element's score is the mean (or the sum) of ``|w|^p`` over every weight that leaves with it; the mean
makes elements of different sizes comparable (Han et al. 2015; Li et al. 2017 for filters).
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from prunelab.core.meanings import ANY, Meaning
from prunelab.core.protocols import Model
from prunelab.core.scores import Scores
from prunelab.core.settings import Positive, settings
from prunelab.core.units import Unit


@settings
class Magnitude:
    """``p``: the norm's exponent; ``reduce``: mean or sum over an element's weights."""

    means: ClassVar[Meaning] = ANY
    control: ClassVar[bool] = True  # any method has to beat it

    p: Positive = 1.0
    reduce: Literal["mean", "sum"] = "mean"

    def score(self, model: Model, units: Sequence[Unit]) -> Scores:
        """Scores from the weights alone."""
        named = {name: dict(module.named_parameters()) for name, module in model.components.items()}
        scores = {}
        for unit in units:
            views = [view.detach().double().abs().pow(self.p) for view in unit.views(named[unit.component])]
            total = torch.stack([view.sum(dim=1) for view in views]).sum(dim=0)
            size = sum(view.shape[1] for view in views)
            scores[unit.name] = (total / size if self.reduce == "mean" else total).cpu()
        return scores
