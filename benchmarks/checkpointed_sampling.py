"""Backpropagation through the whole sampler, with time-step checkpointing and without: memory and time.

    python benchmarks/checkpointed_sampling.py [--batch 2] [--rounds 3] [--steps 5 10 25 50]
        [--path FOLDER] [--device cuda]

Gates on heads and neurons of the embedded model (or of the Stable Diffusion folder PATH), a loss of the last
latents, one gradient. Both ways run in turn in one process. Peak memory counts the tensors made during the
call and still alive (weights and inputs are there before); on a GPU it is what the CUDA allocator adds.
Printed are both ways' figures, their ratios, and how far the gradients differ.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from goals import noted
from torch import Tensor

from prunelab.core.draws import normal
from prunelab.core.units import Unit
from prunelab.costs.live_tensors import peak_of_new_tensors
from prunelab.costs.memory import peak_memory
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery.gating import gated


@dataclass(frozen=True)
class Passage:
    """One gradient of a loss of the last latents through ``steps`` of the sampler."""

    model: PipelineModel
    units: list[Unit]
    batch: int
    device: torch.device

    def gradient(self, steps: int, checkpointed: bool) -> Tensor:
        """The gradient of every gate, in one row."""
        logits = [torch.ones(unit.elements, device=self.device, requires_grad=True) for unit in self.units]
        gates = {unit.name: logit.sigmoid() for unit, logit in zip(self.units, logits, strict=True)}
        noise = normal(self.model.latent_shape, 0, range(self.batch), "benchmark").to(self.device)
        with torch.no_grad():
            conditions = self.model.embed(["a red seven on a blue background"] * self.batch)
        last = self.model.sample(
            conditions,
            noise,
            steps,
            1.0,
            last=True,
            checkpointed=checkpointed,
            within=lambda _: gated(self.model.components, self.units, gates),
        )
        return torch.cat(torch.autograd.grad(last.pow(2).mean(), logits))

    def peak(self, steps: int, checkpointed: bool) -> int:
        """Bytes at the highest, over what is there before."""

        def call() -> object:
            return self.gradient(steps, checkpointed)

        if self.device.type != "cuda":
            return peak_of_new_tensors(call)
        before = torch.cuda.memory_allocated(self.device)
        return int(peak_memory(call, self.device) or 0) - before


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def row(passage: Passage, steps: int, rounds: int) -> str:
    """One line of the table."""
    plain, checked = (passage.gradient(steps, checkpointed) for checkpointed in (False, True))
    error = float((plain - checked).abs().max() / plain.abs().max())
    memory = [passage.peak(steps, checkpointed) / 2**20 for checkpointed in (False, True)]
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for checkpointed, seconds in times.items():
            seconds.append(timed(lambda c=checkpointed: passage.gradient(steps, c), passage.device))  # type: ignore[misc]
    ratios = [b / a for a, b in zip(times[False], times[True], strict=True)]
    slow = [statistics.median(seconds) for seconds in times.values()]
    noted(f"gradient through {steps} steps: plain peak over checkpointed peak", [memory[0] / memory[1]])
    noted(f"gradient through {steps} steps: checkpointed time over plain time", ratios)
    return (
        f"{steps:5d}  {memory[0]:10.2f} {memory[1]:12.2f} {memory[0] / memory[1]:7.1f}  "
        f"{slow[0]:8.3f} {slow[1]:12.3f} {statistics.median(ratios):6.2f} "
        f"[{min(ratios):.2f}, {max(ratios):.2f}]  {error:8.1e}"
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=2, help="samples at once")
    parser.add_argument("--rounds", type=int, default=3, help="how often either way is timed")
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 10, 25, 50], help="of the sampler")
    parser.add_argument("--path", default=None, help="a Stable Diffusion folder")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    model = PipelineModel.open("benchmark", arguments.path, embedded="tiny_t2i")
    model.to(device)
    passage = Passage(model, model.units(["head", "neuron"], ["denoiser"]), arguments.batch, device)
    passage.gradient(1, checkpointed=True)  # warm-up
    print(f"batch {arguments.batch}, {device.type}; peak in MiB, time in seconds, medians")
    print(
        "steps       plain checkpointed plain/c.     plain checkpointed c./plain [range]    gradients differ"
    )
    for steps in arguments.steps:
        print(row(passage, steps, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
