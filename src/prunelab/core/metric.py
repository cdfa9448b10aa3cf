"""The promises that metrics keep."""

from typing import ClassVar, Protocol, runtime_checkable

from prunelab.core.estimates import Estimate
from prunelab.core.quantities import Quantity
from prunelab.core.samples import Reference, Samples


class Metric(Protocol):
    """A number about generated samples."""

    name: str

    def __call__(self, generated: Samples, reference: Reference) -> Estimate:
        """The estimate with its interval."""


@runtime_checkable
class PromptMetric(Metric, Protocol):
    """A metric of how well prompts are followed, taken of held-out prompts and of seen ones apart."""

    of_prompts: ClassVar[bool]


@runtime_checkable
class NetworkMetric(Protocol):
    """A metric with a network of its own, whose weights the address of an evaluation names."""

    def fingerprint(self) -> str:
        """A hash of the weights."""


@runtime_checkable
class Described(Protocol):
    """A metric that describes itself; one that does not is shown by its name."""

    @property
    def quantity(self) -> Quantity:
        """Title, unit, which way is better."""
