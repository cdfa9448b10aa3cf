"""How far the denoiser's outputs are from the dense model's on the same held-out inputs."""

from typing import ClassVar

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Text, settings
from prunelab.metrics.intervals import bootstrap


@settings
class OutputDistance:
    """Mean squared difference of the denoiser's outputs to the dense model's; lower is closer.

    The axis that separates plans best on small models. 0 for the dense model itself.
    """

    name: Text = "output_distance"

    quantity: ClassVar[Quantity] = Quantity(
        "Output distance",
        "lower",
        "mean squared difference of the denoiser's outputs to the dense model's",
        aside=True,
    )

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over held-out inputs of each input's mean squared difference; undefined without any."""
        assert generated.outputs.shape == reference.dense.outputs.shape, (
            "outputs on the same inputs are compared"
        )
        if not len(generated.outputs):
            return UNDEFINED
        difference = generated.outputs.double() - reference.dense.outputs.double()
        return bootstrap(difference.square().flatten(1).mean(dim=1), reference.held_out)
