"""The settings of timing: which batches, and how often."""

from prunelab.core.settings import Count, Counts, NonNegativeCount, settings


@settings(known_as="prunelab.stages.time.Timing")
class Timing:
    """``warmup`` untimed rounds and ``repeats`` timed ones of one denoiser call, per batch size."""

    batches: Counts = (1, 16)
    warmup: NonNegativeCount = 10
    repeats: Count = 50
