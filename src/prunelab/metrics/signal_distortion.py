"""How much of a sound is not the dense model's sound from the same seed."""

from typing import ClassVar

from prunelab.core.estimates import UNDEFINED, Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples
from prunelab.core.settings import Text, settings
from prunelab.metrics.intervals import bootstrap


@settings
class SignalDistortion:
    """SI-SDR in dB to the dense model's sound, Le Roux et al. (2019), arXiv 1811.02508; higher is closer."""

    name: Text = "si_sdr"

    quantity: ClassVar[Quantity] = Quantity(
        "SI-SDR to dense",
        "higher",
        "scale-invariant signal to distortion against the dense model's sounds",
        unit="dB",
    )

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The mean over sounds; undefined as soon as one equals the dense one, or one of a pair is silent."""
        from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio  # takes seconds

        assert generated.media.shape == reference.dense.media.shape, "sounds of the same draws are compared"
        ours, dense = (m.flatten(0, 2).cpu().double() for m in (generated.media, reference.dense.media))
        equal, silent = (ours == dense).all(dim=1), (ours == 0).all(dim=1) | (dense == 0).all(dim=1)
        if (equal | silent).any():
            return UNDEFINED
        return bootstrap(scale_invariant_signal_distortion_ratio(ours, dense), reference.prompts)
