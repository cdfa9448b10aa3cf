"""Making an embedded model from nothing: phase after phase of training, then an ordinary diffusers folder."""

import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from prunelab.core.errors import Refusal
from prunelab.engine import ranks
from prunelab.engine.optimise import optimise
from prunelab.pretraining.phases import Log, Phase, Recipe
from prunelab.trainers.hardware import Hardware

RECIPE = "recipe.json"


def pretrain(recipe: Recipe, folder: Path, hardware: Hardware, log: Log) -> Path:
    """Run the phases of ``recipe`` that ``folder`` does not hold yet; returns ``folder``.

    Every phase leaves a folder of its name. A run that was killed goes on in the phase and at the checkpoint
    where it was. ``log`` gets the losses of every phase under its name, over the steps of all phases so far.
    Refusal when ``folder`` belongs to another recipe.
    """
    _claim(recipe, folder)
    before = 0
    for phase in recipe.phases():
        _run(phase, folder, hardware, partial(_named, log, phase.name, before))
        before += phase.schedule.steps if phase.schedule else 0
    if ranks.rank() == 0:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return folder


def _claim(recipe: Recipe, folder: Path) -> None:
    """Mark ``folder`` as this recipe's; phases of two recipes must not mix."""
    owner = folder / RECIPE
    content = json.dumps({"fingerprint": recipe.fingerprint}) + "\n"
    if ranks.rank() == 0 and not owner.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{RECIPE}.partial"
        aside.write_text(content)
        aside.rename(owner)
    if ranks.broadcast(owner.read_text() if ranks.rank() == 0 else "") != content:
        raise Refusal(f"{folder} holds the phases of another recipe: name another folder, or empty it")


def _run(phase: Phase, folder: Path, hardware: Hardware, log: Log) -> None:
    if ranks.broadcast((folder / phase.name).is_dir()):
        return
    objective = phase.prepare(folder)
    if objective is not None and phase.schedule is not None:
        optimise(objective, phase.schedule, hardware, folder / "checkpoints" / phase.name, phase.name, log)
    if ranks.rank() == 0:
        aside = folder / f".{phase.name}.partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        phase.save(objective, folder, aside)
        aside.rename(folder / phase.name)
    ranks.barrier()


def _named(log: Log, phase: str, before: int, values: Mapping[str, float], step: int) -> None:
    log({f"{phase}/{name}": value for name, value in values.items()}, before + step)
