"""Teaching the listener to name what a sound is."""

from prunelab.pretraining.naming import Naming


class Hearing(Naming):
    """Cross entropy of every label, summed, on waveforms as they are: int16 (n, 1, samples)."""

    SHIFT, PURPOSE = 0, "listener"
