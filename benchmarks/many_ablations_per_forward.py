"""Scoring many operators' ablations in one forward against one operator at a time.

    python benchmarks/many_ablations_per_forward.py [--samples 8] [--rounds 5] [--stride 4]

Both score the same operators of the embedded text-to-image model with latent shift, in turn, in one process.
Printed are the times' ratio, and how far the two scores differ.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time
from dataclasses import replace

import torch
from goals import noted
from scipy.stats import spearmanr
from torch import Tensor

from prunelab.core.observation import Sums
from prunelab.core.units import Unit
from prunelab.data.digits import Digits
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.latent_shift import LatentShift
from prunelab.tasks.judged_data import ShuffledExamples

BATCH = 64


def scores(model: PipelineModel, units: list[Unit], scorer: LatentShift, prompts: ShuffledExamples) -> Tensor:
    """One score per operator, batch by batch."""
    passes, totals = scorer.passes(model, units, prompts), Sums()
    observation = next(passes)
    for rows in observation.batches:
        for name, value in observation.observe(rows, torch.device("cpu")).items():
            totals.add(name, value.to_dense())
    try:
        passes.send(totals)
    except StopIteration as done:
        return torch.cat(list(done.value.values()))
    raise AssertionError("latent shift looks once")


def main() -> None:
    """Time both in turn and print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=8, help="calibration samples per operator")
    parser.add_argument("--rounds", type=int, default=5, help="how often either is timed")
    parser.add_argument("--stride", type=int, default=4, help="every such operator is scored")
    arguments = parser.parse_args()
    model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
    units = model.units(["operator"], ["denoiser"])[:: arguments.stride]
    prompts = ShuffledExamples(Digits(train_size=64).train(), 0)
    many = LatentShift(samples=arguments.samples, steps=5, batch_size=BATCH)
    ways = {"one operator at a time": replace(many, batch_size=arguments.samples), "many per forward": many}
    times: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Tensor] = {}
    for _ in range(arguments.rounds):
        for name, scorer in ways.items():
            start = time.perf_counter()
            found[name] = scores(model, units, scorer, prompts)
            times[name].append(time.perf_counter() - start)
    one, together = (torch.as_tensor(values) for values in times.values())
    ratios = (one / together).tolist()
    first, second = found.values()
    print(
        f"{len(units)} operators, {arguments.samples} samples each, batch {BATCH} against {arguments.samples}"
    )
    for name, values in times.items():
        print(f"{name:24} median {statistics.median(values):.2f} s of {[f'{value:.2f}' for value in values]}")
    print(noted("latent shift, one operator at a time over many per forward", ratios).line())
    print(
        f"scores: largest relative difference {float(((first - second).abs() / first).max()):.1e}, ", end=""
    )
    print(f"rank correlation {spearmanr(first, second).statistic:.6f}")


if __name__ == "__main__":
    main()
