"""Whether samples show what their prompts asked for."""

from typing import ClassVar

import torch

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Text, settings
from prunelab.metrics.intervals import bootstrap


@settings
class PromptAccuracy:
    """The share of samples whose every predicted label equals the asked one; higher is better."""

    name: Text = "prompt_accuracy"

    quantity: ClassVar[Quantity] = Quantity(
        "Prompt accuracy",
        "higher",
        "samples that show everything their prompt asked for",
        percent=True,
        breaks=True,
    )

    of_prompts: ClassVar[bool] = True

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The share over all seeds and draws; undefined where nothing was asked for."""
        if not reference.labels:
            return UNDEFINED
        right = [generated.predictions[name] == asked for name, asked in reference.labels.items()]
        return bootstrap(torch.stack(right).all(dim=0), reference.prompts)
