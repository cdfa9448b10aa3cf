"""Recover: train the pruned model back to health, resumably."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model
from prunelab.engine.optimise import Objective, Schedule, optimise
from prunelab.recovery.draws import Draws
from prunelab.stages.bench import Artifact, Bench, Part, Write, write_json
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

    def __post_init__(self) -> None:
        """Refuse to train on nothing."""
        if self.examples < 1:
            raise Refusal(f"recovery.examples={self.examples} leaves nothing to train on: at least 1")


class History:
    """The losses of a training by step, kept in a file that survives kills."""

    def __init__(self, file: Path, run: Run) -> None:
        self.file, self.run = file, run
        self.by_step: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.is_file() else {}

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record the losses of one step; steps done again after a restart have the same ones."""
        if not all(math.isfinite(value) for value in values.values()):
            raise Refusal(
                f"the recovery diverged: at step {step} the loss is {values['loss']}; "
                "lower recovery.schedule.learning_rate"
            )
        self.by_step[str(step)] = dict(values)
        aside = self.file.with_suffix(".partial")
        write_json(aside, self.by_step)
        aside.replace(self.file)
        self.run.log(values, step)

    def entries(self) -> list[dict[str, float]]:
        """One mapping per logged step, in order."""
        return [{"step": int(step), **self.by_step[step]} for step in sorted(self.by_step, key=int)]


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
        history = History(partial / "history.json", run)
        optimise(objective, chosen.schedule, bench.hardware, partial / "checkpoints", "recover", history.log)

        def write(folder: Path) -> None:
            student.save(folder / "model", structures)
            write_json(folder / "history.json", history.entries())

        return write

    inputs = {
        "recovery": dict(recovery.settings),
        "teacher": bench.model.fingerprint(),
        "data": bench.task.fingerprint(),
        "precision": bench.hardware.precision,
    }
    return bench.artifact("recover", recovery.name, VERSION, inputs, make, {"student": parent})
