"""The settings of an evaluation: how many samples, of what, under which seeds."""

from typing import Literal

from prunelab.core.settings import Count, NonNegativeCount, Number, Seed, Several, SeveralOrNone, settings


@settings(known_as="prunelab.stages.evaluate.Evaluation")
class Evaluation:
    """How samples are drawn and held against the dense model and real data.

    seed: fixed, so that every row sees the same noise. seeds: sampling seeds of ``samples`` draws each,
    made with ``steps`` of the sampler under ``guidance``, ``batch_size`` at a time. seen: prompts of the
    training split on which metrics of prompts are taken apart, beside those that are held out. real:
    held-out examples behind the distances; a covariance takes two. held_out: noisy latents for the output
    distance. Where any of these is 0, what is measured on it is undefined. spacing: of the timesteps,
    the model's ``scheduler``'s or ``quadratic``.
    """

    seed: Seed = 2024
    seeds: Count = 3
    samples: Several = 200
    seen: NonNegativeCount = 100
    steps: Count = 10
    guidance: Number = 2.0
    batch_size: Count = 50
    real: SeveralOrNone = 2000
    held_out: NonNegativeCount = 500
    spacing: Literal["scheduler", "quadratic"] = "scheduler"

    @property
    def examples(self) -> int:
        """How many held-out examples are looked at."""
        return max(self.samples, self.real, self.held_out)

    @property
    def looks_at_media(self) -> bool:
        """Whether real media are needed, or prompts are enough."""
        return max(self.real, self.held_out) > 0
