"""The losses of a training, kept while it runs."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from prunelab.core.errors import Refusal
from prunelab.engine.optimise import PACE
from prunelab.stages.bench import write_json
from prunelab.tracking.protocol import Run


class History:
    """The losses of a training by step, kept in a file that survives kills."""

    def __init__(self, file: Path, run: Run) -> None:
        self.file, self.run = file, run
        self.by_step: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.is_file() else {}

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record the losses of one step; steps done again after a restart have the same ones.

        How fast the training went is for the run alone.
        """
        losses = {name: value for name, value in values.items() if name not in PACE}
        if not all(math.isfinite(value) for value in losses.values()):
            raise Refusal(
                f"the training diverged: at step {step} the loss is {losses['loss']}; lower learning_rate in "
                "the schedule of the recovery (recovery.schedule) or of the scorer (scorer.schedule)"
            )
        self.by_step[str(step)] = losses
        aside = self.file.with_suffix(".partial")
        write_json(aside, self.by_step)
        aside.replace(self.file)
        self.run.log(values, step)

    def entries(self) -> list[dict[str, float]]:
        """One mapping per logged step, in order."""
        return [{"step": int(step), **self.by_step[step]} for step in sorted(self.by_step, key=int)]
