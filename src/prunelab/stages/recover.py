"""Recover: train the pruned model back to health, resumably."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model
from prunelab.core.units import Unit
from prunelab.engine.optimise import optimise
from prunelab.evaluation.evaluation import Evaluation
from prunelab.recovery.recovery import Recovery
from prunelab.recovery.scratch import forget
from prunelab.recovery.training_draws import Draws
from prunelab.stages.bench import Artifact, Bench, Part, Write, write_json
from prunelab.stages.encode import encode_train
from prunelab.stages.history import History
from prunelab.stages.looks import Looks
from prunelab.stages.state import State
from prunelab.surgery.carried import zeroed_in
from prunelab.surgery.zeros import hold_zeros, kept_weights
from prunelab.tracking.protocol import Run

VERSION = 1
SCRATCH = 1  # what the control's own changes add to the version: 1 since it forgets all weights


@runtime_checkable
class Finishing(Protocol):
    """An objective that leaves something to be done once the training is over."""

    def finish(self) -> None:
        """Bring the trained module into the form in which it is saved."""
        ...


def check_recovery(recovery: Part[Recovery], model: Model, units: Sequence[Unit], scratch: bool) -> None:
    """Refuse adapters where weights are trained from nothing, or zeros among them have to stay.

    And checkpointed gradients of a denoiser whose class does not offer them.
    """
    denoiser: Any = model.components["denoiser"]
    offers = getattr(denoiser, "_supports_gradient_checkpointing", False)
    if recovery.value.gradient_checkpointing and not offers:
        raise Refusal(
            f"recovery.gradient_checkpointing=true: a {type(denoiser).__name__} does not offer it; "
            "leave it false"
        )
    if not getattr(recovery.value.method, "adapts", False):
        return
    instead = "use recovery=finetune or recovery=distill"
    if scratch:
        raise Refusal(f"scratch=true trains weights that recovery={recovery.name} leaves as drawn: {instead}")
    if zeroed_in(model.components["denoiser"]) or any(unit.matrix is not None for unit in units):
        raise Refusal(
            f"recovery={recovery.name} would fill the zeros of single weights when it merges its adapters: "
            f"{instead}"
        )


def recover(
    bench: Bench,
    state: State,
    recovery: Part[Recovery],
    scratch: bool = False,
    evaluation: Evaluation | None = None,
) -> Artifact:
    """The recovered model as ``model/``; ``state`` is the student before recovery.

    ``evaluation``: how the samples that are logged on the way are drawn. With ``scratch`` the student keeps
    its shape and forgets its weights before the same training. The single weights that it lost stay zero.
    An interrupted recovery resumes at its last checkpoint and ends in the same weights, bitwise.
    """
    chosen, student = recovery.value, state.model
    latents, examples = encode_train(bench, chosen.examples)

    def make(partial: Path, run: Run) -> Write:
        denoiser: Any = student.components["denoiser"]  # what recoveries train
        if chosen.gradient_checkpointing:
            denoiser.enable_gradient_checkpointing()
        kept = kept_weights(denoiser)
        if scratch:
            forget(denoiser, chosen.seed)
        draws = Draws(latents, examples.prompts, bench.model.timesteps, chosen.method.drop, chosen.seed)
        objective = chosen.method.objective(student, bench.model, draws)
        hold_zeros(objective.trained, kept)
        history = History(partial / "history.json", run)
        drawn = evaluation or Evaluation()
        watch = Looks(student, bench.task, drawn, history, run, chosen.schedule.steps, chosen.looks)
        optimise(objective, chosen.schedule, bench.hardware, partial / "checkpoints", "recover", watch.log)
        if isinstance(objective, Finishing):
            objective.finish()

        def write(folder: Path) -> None:
            student.save(folder / "model")
            write_json(folder / "history.json", history.entries())

        return write

    inputs = {
        "recovery": dict(recovery.settings),
        "teacher": bench.model.fingerprint(),
        "data": bench.task.fingerprint(),
        "precision": bench.hardware.arithmetic,
        "scratch": scratch,
    }
    version = VERSION + SCRATCH if scratch else VERSION
    return bench.artifact("recover", recovery.name, version, inputs, make, {"student": state.address})
