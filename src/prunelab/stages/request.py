"""What a run is asked for: every factor of the cross product, chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from prunelab.bypasses.bypasses import Bypasses
from prunelab.core.errors import Refusal
from prunelab.core.protocols import AnyScorer, Budget, Model
from prunelab.core.sparsity import Sparsity
from prunelab.evaluation.evaluation import Evaluation
from prunelab.evaluation.timing import Timing
from prunelab.recovery.recovery import Recovery
from prunelab.stages.bench import Part, say

COMPONENTS = ("denoiser", "text_encoder", "vae")  # what a model may have


@dataclass(frozen=True)
class Request:
    """One run: every factor of the cross product, chosen.

    ``recovery`` is None where nothing is trained. There are ``rounds`` of scoring and planning; ``scratch``
    adds the control of that name. ``metrics`` are the settings of the task's metrics, ``labels`` what a
    report row calls the choices. ``until`` names the last stage, None all of them.
    """

    scorer: Part[AnyScorer]
    granularity: Sequence[str]
    components: Sequence[str]
    budget: Part[Budget]
    sparsity: Sparsity
    recovery: Part[Recovery] | None
    bypass: Part[Bypasses]
    evaluation: Part[Evaluation]
    timing: Part[Timing]
    metrics: list[dict[str, Any]]
    labels: Mapping[str, Any]
    seed: int
    rounds: int = 1
    scratch: bool = False
    until: Literal["score", "prune", "recover"] | None = None

    @property
    def looks_at_media(self) -> bool:
        """Whether evaluation or recovery need real media, or prompts are enough."""
        return self.evaluation.value.looks_at_media or self.recovery is not None


def fitted(request: Request, model: Model) -> Request:
    """The request without what other models have and this one lacks: a text encoder, neurons.

    What is asked for alone stays, to be refused.
    """
    absent = [name for name in COMPONENTS if name not in model.components]
    components = [name for name in request.components if name not in absent]
    if not components:
        raise Refusal(f"{model.name} has no {request.components[0]}: it has {', '.join(model.components)}")
    lacking = _lacking(request.granularity, components, model)
    granularity = [kind for kind in request.granularity if kind not in lacking]
    asked = request.sparsity.without([*absent, *lacking])
    labels = {**request.labels, "granularity": "+".join(granularity)} if lacking else request.labels
    return replace(request, components=components, granularity=granularity, sparsity=asked, labels=labels)


def _lacking(granularity: Sequence[str], components: Sequence[str], model: Model) -> list[str]:
    """Granularities without units in this model, if others have some; each is named on the screen."""
    if len(granularity) == 1 or not set(components) <= model.components.keys():
        return []
    lacking = [kind for kind in granularity if not model.units([kind], components)]
    if len(lacking) == len(granularity):
        return []
    for kind in lacking:
        say(f"{model.name} has no {kind} units in {', '.join(components)}: the others are pruned")
    return lacking
