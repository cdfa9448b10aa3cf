"""What is worth measuring on a GPU: ablations, latency that pruning saves at a real size, sampling, judging.

    python benchmarks/gpu.py [--model sd15] [--share 0.35] [--rounds 5] [--device cuda] [--toy]

Without a GPU every row says so, and nothing fails. Latent shift scores operators of the embedded model, one
at a time and many per forward. A model of ``conf/model`` with random weights loses a share of its channels by
a uniform budget, each width whatever it comes to, or the nearest multiple of 8 or 64; and a share of its
latency, in heads and neurons, by a latency budget. Printed is the share of the dense latency that is gone,
over the share of MACs that is gone (or of latency that was to go): 1 is what is hoped for. Dense and pruned
are timed in turn. ``--toy`` runs everything on the CPU with the embedded model, to see that it runs.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from goals import load, noted
from torch import nn

from prunelab.api import open_task
from prunelab.budgets.per_component import PerComponent
from prunelab.budgets.uniform import Uniform
from prunelab.core.draws import normal
from prunelab.core.presets import made, preset
from prunelab.core.scores import Plan
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Unit
from prunelab.costs.latency import latency
from prunelab.costs.ledger import CostLedger
from prunelab.costs.macs import macs
from prunelab.costs.timetable import timetable
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.latent_shift import LatentShift
from prunelab.scorers.random import Random
from prunelab.stages.score import follow
from prunelab.surgery.slimming import slim
from prunelab.trainers.hardware import Hardware

Measured = tuple[str, Sequence[float], str]  # name, values, unit


@dataclass(frozen=True)
class Asked:
    """What the rows are measured with."""

    model: str
    share: float
    rounds: int
    device: torch.device
    toy: bool

    def opened(self) -> PipelineModel:
        """A model of ``conf/model`` with random weights; the embedded one as a toy."""
        if self.toy:
            return embedded(self)
        node = preset("model", self.model, path=None, weights="random")["open"]
        model: PipelineModel = made(node)
        model.to(self.device)
        return model


def embedded(asked: Asked) -> PipelineModel:
    """The embedded text-to-image model, on the device."""
    model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
    model.to(asked.device)
    return model


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of one call, with what it left the device to do."""
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def ablations(asked: Asked) -> Iterator[Measured]:
    """One operator at a time over many per forward."""
    model = embedded(asked)
    units = model.units(["operator"], ["denoiser"])[:: 40 if asked.toy else 4]
    data = made({**preset("data", "digits"), "train_size": 64, "test_size": 64})
    calibration = open_task("t2i", data=data).calibration(0)
    many = LatentShift(samples=2 if asked.toy else 8, steps=1 if asked.toy else 5, batch_size=256)

    hardware = Hardware(accelerator="cpu" if asked.toy else "gpu")

    def run(scorer: LatentShift) -> None:
        follow(scorer.passes(model, units, calibration), hardware)

    one = replace(many, batch_size=many.samples)
    run(many)  # warm-up
    ratios = [
        seconds(lambda: run(one), asked.device) / seconds(lambda: run(many), asked.device)
        for _ in range(asked.rounds)
    ]
    yield "latent shift, one operator at a time over many per forward", ratios, ""


def saved(asked: Asked, model: PipelineModel, small: nn.Module) -> list[float]:
    """The share of the dense latency that is gone, round by round."""
    inputs, dense = model.example_inputs("denoiser", 1), model.components["denoiser"]
    small.to(asked.device)
    calls: dict[str, Callable[[], object]] = {
        "dense": lambda: dense(**inputs),
        "slim": lambda: small(**inputs),
    }
    warmup, repeats = (1, 2) if asked.toy else (10, 30)
    found = []
    for _ in range(asked.rounds):
        with torch.no_grad():
            times = latency(calls, asked.device, warmup, repeats)
        found.append(1 - times["slim"].median_ms / times["dense"].median_ms)
    return found


def widths(asked: Asked) -> Iterator[Measured]:
    """Latency saved over MACs saved, of channels whose widths are rounded, or not."""
    model = asked.opened()
    units, inputs = model.units(["channel"], ["denoiser"]), model.example_inputs("denoiser", 1)
    dense = macs(model.components["denoiser"], inputs).total
    for multiple in (8,) if asked.toy else (1, 8, 64):
        budget = Uniform(rounding="none" if multiple == 1 else "multiple", multiple=multiple)
        small = slimmed(model, units, budget, Sparsity(asked.share))
        gone = 1 - macs(small, inputs).total / dense
        ratios = [each / gone for each in saved(asked, model, small)]
        yield f"widths of multiples of {multiple}: latency saved over {gone:.0%} of MACs saved", ratios, ""


def latency_budget(asked: Asked) -> Iterator[Measured]:
    """Latency saved over what a latency budget was to save in heads and neurons."""
    model = asked.opened()
    units, share = model.units(["head", "neuron"], ["denoiser"]), asked.share / 5
    paths = [path for unit in units for path in (unit.host, *unit.spared)]
    inputs = model.example_inputs("denoiser", 1)
    warmup, repeats = (1, 1) if asked.toy else (10, 50)
    times = {"denoiser": timetable(model.components["denoiser"], inputs, paths, warmup, repeats)}
    small = slimmed(model, units, PerComponent(of="latency"), Sparsity(share), times)
    ratios = [each / share for each in saved(asked, model, small)]
    yield f"a budget of {share:.0%} of latency in heads and neurons: saved over asked", ratios, ""


def slimmed(
    model: PipelineModel,
    units: list[Unit],
    budget: Uniform | PerComponent,
    sparsity: Sparsity,
    times: dict[str, dict[str, float]] | None = None,
) -> nn.Module:
    """The denoiser by random scores: what it costs does not depend on which elements go."""
    scores = Random().score(model, units)
    plan: Plan = budget.plan(scores, units, CostLedger(budget.of, model, units, times), sparsity)
    return slim(model.components["denoiser"], units, plan)


@torch.no_grad()
def sampling(asked: Asked) -> Iterator[Measured]:
    """Samples of the embedded model a second, and samples judged a second."""
    model, count = embedded(asked), 2 if asked.toy else 256
    task = open_task("t2i", data=made({**preset("data", "digits"), "train_size": 64, "test_size": 64}))
    conditions = model.embed(["a red seven on a blue background"] * count)
    noise = normal(model.latent_shape, 0, range(count), "benchmark").to(asked.device)
    steps = 1 if asked.toy else 25

    def sample() -> torch.Tensor:
        return model.decode(model.sample(conditions, noise, steps, 7.5, last=True)[-1])

    media = (sample() * 255).round().to(torch.uint8).cpu()
    task.judged(media)
    drawn = [count / seconds(sample, asked.device) for _ in range(asked.rounds)]
    judged = [count / seconds(lambda: task.judged(media), asked.device) for _ in range(asked.rounds)]
    yield f"tiny_t2i, {steps} steps with guidance: samples", drawn, " /s"
    yield "its judge: samples", judged, " /s"


ROWS = {
    "many ablations per forward": ablations,
    "latency saved over MACs saved": widths,
    "latency budget": latency_budget,
    "sampling and judging": sampling,
}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sd15", help="of conf/model, for text")
    parser.add_argument("--share", type=float, default=0.35, help="of the channels, that goes")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--device", default="cuda", help="cuda, or cuda:1")
    parser.add_argument("--toy", action="store_true", help="on the CPU, with the embedded model")
    given = parser.parse_args()
    device = torch.device("cpu" if given.toy else given.device)
    asked = Asked(given.model, given.share, given.rounds, device, given.toy)
    there = asked.toy or torch.cuda.is_available()
    print(f"{load()}; {torch.cuda.get_device_name(device) if device.type == 'cuda' and there else 'CPU'}")
    for name, work in ROWS.items():
        if not there:
            print(f"{name}: not run: no GPU")
            continue
        for row, values, unit in work(asked):
            print(noted(row, values, unit=unit).line(), flush=True)


if __name__ == "__main__":
    main()
