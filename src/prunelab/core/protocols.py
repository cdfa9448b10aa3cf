"""The promises that models, tasks, scorers, budgets and recoveries keep to each other."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypedDict, Unpack, runtime_checkable

import torch
from torch import Tensor, nn

from prunelab.core.meanings import Meaning
from prunelab.core.observation import Observation
from prunelab.core.scores import Plan, Scores
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit


class SamplingOptions(TypedDict, total=False):
    """How a sampler goes through its steps; what is left out has its usual value.

    last: return the latents after the last step alone (usually False).
    checkpointed: keep one latent per step instead of the activations, and run each step again on the way
        back (usually False). The gradient is that of plain backpropagation.
    room: bytes of activations that checkpointed steps keep all the same, the last ones first (usually 0).
    within: step number -> the context its denoiser runs in (usually none), entered again for every
        repetition of the step. Whatever it draws must depend on the step alone.
    quadratic: space the timesteps quadratically instead of as the model's scheduler does (usually False).
    """

    last: bool
    checkpointed: bool
    room: int
    within: Callable[[int], AbstractContextManager[None]]
    quadratic: bool


class Conditions(Protocol):
    """What a list of prompts asks for; a tensor with the batch in front is one."""

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach what reads the prompts."""

    def __len__(self) -> int:
        """How many prompts."""

    def __getitem__(self, items: Tensor, /) -> "Conditions":
        """Those of these prompts, by their numbers: int64 (b,)."""


class Model(Protocol):
    """Pretrained components with their objective, sampler and units; each knows how it was pruned.

    Latents are what the sampler carries from step to step, with the batch in front: mostly (batch, channels,
    height, width). Conditions are what ``embed`` returns for a list of prompts, or None where the model is
    unconditional.
    """

    name: str
    makes: str  # images, sounds or videos
    prompted: bool  # whether prompts are read
    components: Mapping[str, nn.Module]
    timesteps: int

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Of one sample's latents."""

    def fingerprint(self) -> str:
        """A hash of the weights and configuration: equal models have equal fingerprints."""

    def units(
        self, granularity: Sequence[str], components: Sequence[str], bypasses: bool = False
    ) -> list[Unit]:
        """The units of these granularities; refuses names that the model does not have.

        ``bypasses`` adds the operators that change their input's shape.
        """

    def example_inputs(self, component: str, batch: int) -> dict[str, Any]:
        """Keyword arguments of one forward pass of ``component``; NotRun where sampling has none."""

    def embed(self, prompts: Sequence[str]) -> Conditions | None:
        """Conditions of the prompts; None where the model is unconditional."""

    def real_tokens(self, prompts: Sequence[str]) -> Tensor:
        """True where ``embed`` reads a token of the prompt, False at padding: bool (batch, tokens)."""

    def encode(self, media: Tensor) -> Tensor:
        """uint8 media to float32 latents."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to float32 media in [0, 1]."""

    def noised(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """The forward process: latents at the given timesteps."""

    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Conditions | None) -> Tensor:
        """The model's prediction, without guidance."""

    def target(self, latents: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """What ``predict`` is trained towards: noise, velocity or sample."""

    def sample(
        self,
        conditions: Conditions | None,
        latents: Tensor,
        steps: int,
        guidance: float,
        **options: Unpack[SamplingOptions],
    ) -> Tensor:
        """The sampler's latents after every step, shape (steps or 1, batch, ...); differentiable."""

    def reopened(self, folder: Path) -> "Model":
        """The model that ``save`` wrote into ``folder``."""

    def pruned(self) -> list[str]:
        """The components that were pruned before: in shape, or by single weights that are zero."""

    def with_components(self, components: Mapping[str, nn.Module]) -> "Model":
        """The same model with some components exchanged (a pruned denoiser, a copy to train)."""

    def to(self, device: torch.device) -> None:
        """Move every component."""

    def save(self, folder: Path | str) -> None:
        """Write a diffusers folder, with how each of the components was pruned."""


class Calibration(Protocol):
    """Training examples a scorer may look at, each by its global number."""

    def prompts(self, draws: range) -> list[str]:
        """The prompts of these draws."""

    def media(self, draws: range) -> Tensor:
        """The examples themselves, uint8, for the model to encode; in the same order as the prompts."""


@runtime_checkable
class Encoded(Protocol):
    """Calibration whose examples are latents already: a model's own samples."""

    def latents(self, draws: range) -> Tensor:
        """Of these draws, on the CPU."""


@runtime_checkable
class Scorer(Protocol):
    """A mechanism that scores elements. ``means`` says of which units its scores mean anything."""

    means: ClassVar[Meaning]

    def score(self, model: Model, units: Sequence[Unit]) -> Scores:
        """Scores from the weights alone."""


@runtime_checkable
class ObservingScorer(Protocol):
    """A scorer that needs forward passes; what they give adds up over batches."""

    means: ClassVar[Meaning]

    def observation(self, model: Model, units: Sequence[Unit], calibration: Calibration) -> Observation:
        """The forward passes to be made."""

    def reduce(self, statistics: Mapping[str, Tensor], units: Sequence[Unit]) -> Scores:
        """Scores from the summed statistics."""


@runtime_checkable
class MultiPassScorer(Protocol):
    """A scorer whose later forward passes depend on what the earlier ones gave."""

    means: ClassVar[Meaning]

    def passes(
        self, model: Model, units: Sequence[Unit], calibration: Calibration
    ) -> Generator[Observation, Mapping[str, Tensor], Scores]:
        """Yields an observation, is sent its statistics summed over all ranks, and returns the scores.

        The statistics are the scorer's to change: nobody else holds them.
        """


class Optimisation(Protocol):
    """What is trained, on what, towards what. Not a Module itself: only ``trained`` is saved and resumed.

    What else takes part, such as the model or a teacher, is named as ``frozen``: the engine moves it, too.
    """

    trained: nn.Module

    def batch(self, draws: range) -> Any:
        """The batch of these draws, on the CPU: a pure function of the draw numbers."""

    def loss(self, batch: Any) -> Mapping[str, Tensor]:
        """``loss`` (scalar, to be minimised) and parts worth logging, all means over the batch.

        Must draw nothing at random: whatever a step draws is part of its batch, or a restart would change it.
        """


@runtime_checkable
class OptimisingScorer(Protocol):
    """A scorer whose scores are trained; ``schedule`` holds the training engine's settings."""

    means: ClassVar[Meaning]
    schedule: Any

    def objective(self, model: Model, units: Sequence[Unit], calibration: Calibration) -> Optimisation:
        """What is trained; refuses what cannot be, and makes no forward pass."""

    def read(self, trained: nn.Module, units: Sequence[Unit]) -> Scores:
        """Scores from the trained module."""


AnyScorer = Scorer | ObservingScorer | MultiPassScorer | OptimisingScorer


class Budget(Protocol):
    """How much goes, and who competes with whom."""

    of: str

    def plan(self, scores: Scores, units: Sequence[Unit], ledger: "Ledger", sparsity: Sparsity) -> Plan:
        """The plan that meets ``sparsity``; refuses what cannot be."""


@runtime_checkable
class AllocatingBudget(Protocol):
    """A budget that may read a second scorer's scores, to say where more goes, beside those that rank.

    ``allocation`` is that scorer; None where the ranking scores serve for both.
    """

    of: str
    allocation: AnyScorer | None

    def plan(
        self,
        scores: Scores,
        units: Sequence[Unit],
        ledger: "Ledger",
        sparsity: Sparsity,
        allocation: Scores | None = None,
    ) -> Plan:
        """As any budget's; ``allocation``: the second scorer's scores of the same units."""


class Ledger(Protocol):
    """What elements and components cost in the currency of a budget."""

    def cost(self, unit: Unit) -> float:
        """The cost of one element of ``unit``."""

    def total(self, component: str) -> float:
        """The cost of the whole component (of all chosen elements where elements are counted)."""

    def saved(self, component: str, plan: Plan) -> float:
        """What slimming by ``plan`` saves: for elements whose costs cannot be added up."""
