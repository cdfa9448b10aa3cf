"""Scoring, recovery and evaluation in one process and in two, of one thread each: times and how they scale.

    python benchmarks/scaling.py [--processes 1 2] [--samples 64] [--steps 20] [--rounds 3] [--strategy ddp]

The embedded text-to-image model: Taylor scores of its heads, fine-tuning, and the sampling of an evaluation,
through the engine that a job goes through. The processes of a number do the same work between them. Each
part runs once unmeasured, then once measured, in one number of processes after the other, ``rounds`` times;
printed are the slowest rank's seconds, and the speed over that of the first number of processes in the same
round. What the machine itself gives is printed beside it: the same forward passes in every process, none of
which waits for another.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from goals import load, noted

from prunelab.api import open_model, open_task
from prunelab.core.draws import normal
from prunelab.core.presets import made, preset
from prunelab.core.protocols import Model
from prunelab.core.tasks import Task
from prunelab.engine import ranks
from prunelab.engine.launch import launch
from prunelab.engine.observe import collect
from prunelab.engine.optimise import optimise
from prunelab.evaluation.evaluation import Evaluation
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.training_draws import Draws
from prunelab.schedules.schedule import Schedule
from prunelab.scorers.taylor import Taylor
from prunelab.stages.evaluate import sampling
from prunelab.stages.score import follow
from prunelab.trainers.hardware import Hardware

PARTS = ("scoring", "recovery", "evaluation")
APART = "apart"
WANTED = ("scoring", 1, 2)  # is to be 1.9 times as fast


def scoring(model: Model, task: Task, samples: int, hardware: Hardware) -> None:
    """Taylor scores of the heads."""
    scorer = Taylor(samples=samples, threshold=None, stride=250, batch_size=4)
    units = model.units(["head"], ["denoiser"])
    follow(scorer.passes(model, units, task.calibration(0)), hardware)


def recovery(model: Model, task: Task, steps: int, hardware: Hardware) -> None:
    """Steps of fine-tuning on a batch of eight."""
    examples = task.train(16)
    draws = Draws(model.encode(examples.media), examples.prompts, model.timesteps, 0.1, 0)
    schedule = Schedule(steps=steps, batch_size=8, learning_rate=1e-6, checkpoint_every=10**6)
    with tempfile.TemporaryDirectory() as folder:
        optimise(
            Finetune().objective(model, model, draws), schedule, hardware, Path(folder), "recover", _silent
        )


def evaluation(model: Model, task: Task, samples: int, hardware: Hardware) -> None:
    """Samples of five steps, as an evaluation draws and judges them."""
    knobs = Evaluation(seeds=2, samples=samples, steps=5, batch_size=4)
    collect(sampling(model, task, knobs, task.prompts(samples), "benchmark"), hardware, "sample")


def apart(model: Model, samples: int) -> None:
    """Forward passes of a batch of four, all of them in every process."""
    with torch.no_grad():
        noise, conditions = normal(model.latent_shape, 0, range(4), "benchmark"), model.embed(["a digit"] * 4)
        for _ in range(samples):
            model.predict(noise, torch.zeros(4, dtype=torch.int64), conditions)


def _silent(losses: Mapping[str, float], step: int) -> None:
    """No log."""


def measured(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of each part, of the slowest rank, behind a run that is not measured."""
    ranks.start()
    hardware = Hardware(devices=ranks.world(), strategy=arguments.strategy if ranks.world() > 1 else "auto")
    model = open_model("tiny_t2i")
    task = open_task("t2i", data=made({**preset("data", "digits"), "train_size": 64, "test_size": 64}))
    calls: dict[str, Callable[[], None]] = {
        "scoring": lambda: scoring(model, task, arguments.samples, hardware),
        "recovery": lambda: recovery(model, task, arguments.steps, hardware),
        "evaluation": lambda: evaluation(model, task, arguments.samples, hardware),
        APART: lambda: apart(model, arguments.samples),
    }
    return {name: [_timed(call) for _ in range(2)][1] for name, call in calls.items()}


def _timed(call: Callable[[], None]) -> float:
    ranks.barrier()
    start = time.perf_counter()
    call()
    return max(ranks.gather(time.perf_counter() - start))


def of(processes: int, arguments: argparse.Namespace, words: list[str]) -> dict[str, float]:
    """Seconds of each part in so many processes; one is this one."""
    if processes == 1:
        return measured(arguments)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "seconds.json"
        failure = launch(processes, [__file__, *words, "--write", str(file)])
        if failure is not None:
            sys.exit(f"{failure.refusal}{failure.traceback}")
        found: dict[str, float] = json.loads(file.read_text())
    return found


def told(rounds: Sequence[Mapping[int, Mapping[str, float]]], first: int, processes: int) -> None:
    """The lines of so many processes beside the first number of them."""
    for part in (*PARTS, APART):
        work = processes / first if part == APART else 1  # where every process does all of it
        speeds = [work * each[first][part] / each[processes][part] for each in rounds]
        name = f"{part} in {processes} processes: its speed over that in {first}"
        if part == APART:
            name = f"the machine itself: {processes} processes that never wait, over {first}"
        print(noted(name, speeds, least=1.9 if (part, first, processes) == WANTED else None).line())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--samples", type=int, default=64, help="scored, and drawn for each of two seeds")
    parser.add_argument("--steps", type=int, default=20, help="of recovery")
    parser.add_argument("--rounds", type=int, default=3, help="how often each part is timed")
    parser.add_argument("--strategy", default="ddp", help="ddp or fsdp")
    parser.add_argument("--write", type=Path, default=None, help="in a rank: where seconds go")
    arguments = parser.parse_args()
    if arguments.write is not None:
        found = measured(arguments)
        if ranks.rank() == 0:
            arguments.write.write_text(json.dumps(found))
        return
    print(f"{load()}; tiny_t2i, {arguments.strategy}; seconds, medians of {arguments.rounds} rounds")
    numbers = arguments.processes
    rounds = [{n: of(n, arguments, sys.argv[1:]) for n in numbers} for _ in range(arguments.rounds)]
    print("processes  " + "  ".join(f"{name:>10}" for name in PARTS))
    for n in numbers:
        seconds = [statistics.median(each[n][name] for each in rounds) for name in PARTS]
        print(f"{n:9d}  " + "  ".join(f"{value:10.2f}" for value in seconds))
    for n in numbers[1:]:
        told(rounds, numbers[0], n)


if __name__ == "__main__":
    main()
