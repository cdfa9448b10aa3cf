"""Recover: train the pruned model back to health, resumably."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prunelab.core.protocols import Model
from prunelab.engine.optimise import Objective, Schedule, optimise
from prunelab.recovery.draws import Draws
from prunelab.stages.bench import Artifact, Bench, Part, Write
from prunelab.stages.encode import encode_train
from prunelab.tracking.protocol import Run

VERSION = 1


class Method(Protocol):
    """How a student is trained: see :mod:`prunelab.recovery`."""

    drop: float

    def objective(self, student: Model, teacher: Model, draws: Draws) -> Objective:
        """What is minimised."""
        ...


@dataclass(frozen=True)
class Recovery:
    """A method, its schedule, and the ``examples`` of training data it draws from under ``seed``."""

    method: Method
    schedule: Schedule
    examples: int
    seed: int


def recover(
    bench: Bench,
    parent: str,
    student: Model,
    structures: Mapping[str, Mapping[str, Any]],
    recovery: Part[Recovery],
) -> Artifact:
    """The recovered model as ``model/``; ``parent`` is the address of the student before recovery.

    A killed recovery continues from its last checkpoint and ends in the same weights, bitwise.
    """
    chosen = recovery.value

    latents, examples = encode_train(bench, chosen.examples)

    def make(partial: Path, run: Run) -> Write:
        draws = Draws(latents, examples.prompts, bench.model.timesteps, chosen.method.drop, chosen.seed)
        objective = chosen.method.objective(student, bench.model, draws)
        optimise(objective, chosen.schedule, bench.hardware, partial / "checkpoints", "recover", run.log)
        return lambda folder: student.save(folder / "model", structures)

    inputs = {
        "recovery": dict(recovery.settings),
        "teacher": bench.model.fingerprint(),
        "data": bench.task.fingerprint(),
        "precision": bench.hardware.precision,
    }
    return bench.artifact("recover", recovery.name, VERSION, inputs, make, {"student": parent})
