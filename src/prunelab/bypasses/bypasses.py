"""The choice of what comes in the place of operators that change the shape."""

from typing import Literal

from prunelab.core.settings import Count, Seed, settings


@settings(known_as="prunelab.stages.bypass.Bypasses")
class Bypasses:
    """What comes in the place of operators that change the shape.

    method: none (such operators stay), plain, or least_squares over ``samples`` prompts with one noise
    each and ``steps`` of the sampler.
    """

    method: Literal["none", "plain", "least_squares"] = "none"
    samples: Count = 32
    steps: Count = 5
    seed: Seed = 0

    @property
    def needed(self) -> bool:
        """Whether operators that change the shape may be removed."""
        return self.method != "none"
