"""What ``test_kills.py`` runs in a process of its own: jobs that get a signal in the middle of a stage.

Every job is a fork of this process, which has imported everything and trained nothing (torch's autograd
does not survive a fork of a process that has). Usage: ``killed_jobs.py FOLDER LINES``, LINES a JSON object:
the words of the job ``run``, which gets a signal in every stage, and of each of ``ALONE``.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prunelab.cli import jobs, main

# Stage, the function in which it gets the signal, at which call of the job, and whether the call is over.
STOPS = (
    ("score", "prunelab.scorers.latent_shift.Ablations.observe", 1, True),
    ("prune", "prunelab.models.pipeline.PipelineModel.save", 1, False),
    ("encode", "prunelab.models.pipeline.PipelineModel.encode", 2, False),  # 1: before work starts
    ("recover", "prunelab.recovery.distill.DistillationObjective.loss", 3, True),
    ("sample", "prunelab.models.pipeline.PipelineModel.decode", 3, True),
    ("time", "prunelab.stages.time.latency", 1, False),
    ("evaluate", "prunelab.metrics.output_distance.OutputDistance.__call__", 1, False),
    ("report", "prunelab.report.report.render", 1, False),
)
# The trainings of other jobs, told to stop in their second step.
ALONE = {
    "gates": "prunelab.scorers.learned_gates.GateTraining.loss",
    "pretrain": "prunelab.pretraining.unconditional.Unconditional.loss",
}
DEATHS = (
    ("score", "prunelab.scorers.latent_shift.Ablations.observe", 2, False),
    ("prune", "prunelab.models.pipeline.PipelineModel.save", 1, True),
    ("recover", "prunelab.recovery.distill.DistillationObjective.loss", 7, True),
    ("recover's end", "prunelab.models.pipeline.PipelineModel.save", 1, True),
    (
        "sample",
        "prunelab.models.pipeline.PipelineModel.decode",
        7,
        False,
    ),  # of the second model: five a model
    ("time", "prunelab.stages.time.latency", 2, False),
    ("evaluate", "prunelab.metrics.output_distance.OutputDistance.__call__", 2, False),
    ("report", "prunelab.report.report.render", 1, True),
)


def deadly(
    original: Callable[..., Any], call: int, after: bool, number: signal.Signals
) -> Callable[..., Any]:
    """``original``, which sends its process the signal at the given call."""
    calls = iter(range(1, call))

    def function(*arguments: Any, **keywords: Any) -> Any:
        alive = next(calls, None) is not None
        result = original(*arguments, **keywords) if alive or after else None
        if not alive:
            os.kill(os.getpid(), number)
        return result

    return function


def patch(target: str, call: int, after: bool, number: signal.Signals) -> None:
    """Make the function ``target`` deadly in this process."""
    path, _, name = target.rpartition(".")
    try:
        holder: Any = importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, kind = path.rpartition(".")
        holder = getattr(importlib.import_module(module), kind)
    setattr(holder, name, deadly(getattr(holder, name), call, after, number))


def job(
    store: Path,
    words: list[str],
    death: tuple[str, int, bool] | None = None,
    number: signal.Signals = signal.SIGKILL,
) -> dict[str, Any]:
    """Run the command line in a fork: how it ended, what it said, and what the store holds afterwards."""
    store.parent.mkdir(exist_ok=True)
    out, err = store.parent / "out", store.parent / "err"
    child = os.fork()
    if not child:
        for stream, said in ((1, out), (2, err)):
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        os.environ["PRUNELAB_STORE"] = str(store)
        if death:
            patch(*death, number)
        sys.argv = ["prunelab", *words]
        try:
            main()
        except SystemExit as stop:
            sys.stdout.flush()
            os._exit(int(stop.code or 0))
    status = os.waitpid(child, 0)[1]
    held = {path.name: path.stat().st_mtime_ns for path in store.iterdir() if not path.name.startswith(".")}
    return {
        "store": str(store),
        "code": os.waitstatus_to_exitcode(status),
        "out": out.read_text().splitlines(),
        "err": err.read_text().splitlines(),
        "held": held,
        "checkpoints": [path.name for path in sorted(store.glob(".partial/*/checkpoints/*"))],
    }


def every_death(folder: Path, lines: dict[str, list[str]]) -> None:
    """One run that nothing interrupts, and one that is started again each time that it is stopped or killed.

    In every stage, told to first where ``STOPS`` has it, then killed; trainings of other jobs are told once.
    """
    os.chdir(folder)
    words = lines["run"]
    outcome: dict[str, Any] = {"straight": job(folder / "straight", words)}
    outcome["stops"], outcome["deaths"] = {}, {}
    for stage, *death in DEATHS:
        for told, *stop in STOPS:
            if told == stage or (told, stage) == ("encode", "recover"):
                outcome["stops"][told] = job(folder / "killed", words, stop, signal.SIGTERM)  # type: ignore[arg-type]
        outcome["deaths"][stage] = job(folder / "killed", words, death)  # type: ignore[arg-type]
    outcome["last"] = job(folder / "killed", words)
    outcome["alone"] = {
        name: [
            job(folder / name / "straight", lines[name]),
            job(folder / name / "told", lines[name], (target, 2, True), signal.SIGTERM),
            job(folder / name / "told", lines[name]),
        ]
        for name, target in ALONE.items()
    }
    (folder / "outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    assert jobs, "imported before the first fork, so that no job pays for it again"
    every_death(Path(sys.argv[1]), json.loads(sys.argv[2]))
