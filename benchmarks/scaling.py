"""Scoring, recovery and evaluation in one process and in two, of one thread each: times and how they scale.

    python benchmarks/scaling.py [--processes 1 2] [--samples 64] [--steps 20] [--rounds 3] [--strategy ddp]

The embedded text-to-image model: Taylor scores of its heads, fine-tuning, and the sampling of an evaluation,
through the engine that a job goes through. The processes of a number do the same work between them. Each
part runs once unmeasured, then ``rounds`` times; printed are medians over the rounds of the slowest rank's
seconds, and the speed relative to the first number of processes, over what would be perfect.
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
from collections.abc import Callable, Mapping
from pathlib import Path

from goals import load, noted

from prunelab.api import open_model, open_task
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


def _silent(losses: Mapping[str, float], step: int) -> None:
    """No log."""


def measured(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each part, round by round, of the slowest rank."""
    ranks.start()
    hardware = Hardware(devices=ranks.world(), strategy=arguments.strategy if ranks.world() > 1 else "auto")
    model = open_model("tiny_t2i")
    task = open_task("t2i", data=made({**preset("data", "digits"), "train_size": 64, "test_size": 64}))
    calls: dict[str, Callable[[], None]] = {
        "scoring": lambda: scoring(model, task, arguments.samples, hardware),
        "recovery": lambda: recovery(model, task, arguments.steps, hardware),
        "evaluation": lambda: evaluation(model, task, arguments.samples, hardware),
    }
    return {name: [_timed(call) for _ in range(1 + arguments.rounds)][1:] for name, call in calls.items()}


def _timed(call: Callable[[], None]) -> float:
    ranks.barrier()
    start = time.perf_counter()
    call()
    return max(ranks.gather(time.perf_counter() - start))


def of(processes: int, arguments: argparse.Namespace, words: list[str]) -> dict[str, list[float]]:
    """Seconds of each part in so many processes, round by round; one is this one."""
    if processes == 1:
        found = measured(arguments)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "seconds.json"
            failure = launch(processes, [__file__, *words, "--write", str(file)])
            if failure is not None:
                sys.exit(f"{failure.refusal}{failure.traceback}")
            found = json.loads(file.read_text())
    return found


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
    print(f"{load()}; tiny_t2i, {arguments.strategy}; seconds, and the share of a perfect speed-up")
    print("processes  " + "  ".join(f"{name:>16}" for name in PARTS))
    base: dict[str, float] = {}
    first = arguments.processes[0]
    for processes in arguments.processes:
        rounds = of(processes, arguments, sys.argv[1:])
        seconds = {name: statistics.median(values) for name, values in rounds.items()}
        base = base or seconds
        shares = {name: first * base[name] / (processes * value) for name, value in seconds.items()}
        print(
            f"{processes:9d}  " + "  ".join(f"{seconds[n]:9.2f} {shares[n]:5.0%} " for n in PARTS), flush=True
        )
        for part in PARTS if processes != first else ():
            speeds = [base[part] / value for value in rounds[part]]
            name = f"{part} in {processes} processes: its speed over that in {first}"
            print(noted(name, speeds, least=1.9 if (part, first, processes) == WANTED else None).line())


if __name__ == "__main__":
    main()
