"""What work costs before it is done, as passes of one sample through the denoiser."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from prunelab.core.protocols import Model
from prunelab.core.units import Unit

DOUBLE = 8  # bytes of a number that is summed over samples


@dataclass(frozen=True)
class Price:
    """Passes of one sample, ``batch`` of them at once, and what is summed over samples.

    forward: all forward passes. backward: those of them that are followed by a backward pass, which costs as
    much as two, or as one where weights are frozen. sums: bytes of the sums over all samples that are kept at
    once, without those over half of them. again: those of the forward passes that repeat others, on the way
    back through ``steps`` of a sampler; the last steps keep what they computed instead, as far as ``room``
    bytes go.
    """

    forward: int = 0
    backward: int = 0
    batch: int = 1
    frozen: bool = False
    sums: int = 0
    again: int = 0
    steps: int = 1
    room: int = 0

    def kept(self, size: int) -> int:
        """How many steps keep their activations, of ``size`` bytes each; the first one never does."""
        return min(self.steps - 1, self.room // size) if size else 0

    def keeping(self, steps: int) -> "Price":
        """The price where so many steps do."""
        return replace(self, forward=self.forward - self.again * steps // self.steps)

    def flop(self, macs: int) -> int:
        """Floating-point operations, of a denoiser with so many multiply-accumulates for one sample."""
        return 2 * macs * (self.forward + (1 if self.frozen else 2) * self.backward)


@runtime_checkable
class Priced(Protocol):
    """A scorer that says what scoring these units of this model takes; at most, where data decide."""

    def price(self, model: Model, units: Sequence[Unit]) -> Price:
        """The passes of one scoring."""


@runtime_checkable
class PricedMethod(Protocol):
    """A recovery's method that says what training on so many draws takes."""

    def price(self, draws: int, batch: int) -> Price:
        """The passes of one training."""


def under_guidance(model: Model, guidance: float) -> int:
    """How many passes a sampler's step is: 2 where guidance asks with and without the prompt."""
    config: Any = getattr(model.components["denoiser"], "config", {})
    return 2 if model.prompted and guidance > 1 and not config.get("guidance_embeds") else 1
