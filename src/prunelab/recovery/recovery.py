"""Recovery: a method, and how long, on what and with which looks on the way it trains."""

from typing import Protocol

from pydantic import SkipValidation

from prunelab.core.protocols import Model, Optimisation
from prunelab.core.settings import Count, NonNegativeCount, Runtime, Seed, settings
from prunelab.recovery.training_draws import Draws
from prunelab.schedules.schedule import Schedule


class Method(Protocol):
    """How a student is trained, as the classes beside this one do."""

    drop: float

    def objective(self, student: Model, teacher: Model, draws: Draws) -> Optimisation:
        """What is minimised."""


@settings(known_as="prunelab.stages.recover.Recovery")
class Recovery:
    """A method, its schedule, and the ``examples`` of training data it draws from under ``seed``.

    looks: how many times over the training samples are logged, where anything is logged.
    gradient_checkpointing: blocks run again on the way back instead of keeping what they computed.
    """

    method: SkipValidation[Method]
    schedule: Schedule
    examples: Count
    seed: Seed
    looks: Runtime[NonNegativeCount] = 4
    gradient_checkpointing: Runtime[bool] = False
