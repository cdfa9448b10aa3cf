"""A chunk of a score of a model of real size on a CPU: where its time goes, how near it is to its operations.

    python benchmarks/one_chunk.py [--model sd21] [--rows 2] [--precision fp32]

The denoiser has random weights and its own resolution. Latent shift: the dense model's step of one sample and
that of one ablation, in one batch of ``rows``; Taylor: one example's loss at one timestep and its gradients.
Either runs in a process of its own, under torch's profiler. Printed are its CPU seconds and its peak of
memory, the operations that are counted on the meta device for it, the rate at which it ran them beside that
of a large matrix product in the same process, and the shares of the kernels. What no kernel takes is Python's
and this package's own.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from goals import load, noted
from real_sizes import ROW, opened, row
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from prunelab.core.draws import normal
from prunelab.costs.macs import macs
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.latent_shift import Ablations, LatentShift
from prunelab.scorers.loss_gradients import Denoising, parameters_of

SIDE = 2048  # of the matrices whose product is the machine's rate
KERNELS = 5  # that are named
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Noise:
    """Examples that are latents already."""

    model: PipelineModel

    def latents(self, draws: range) -> Tensor:
        """Noise of the latents' shape."""
        return normal(self.model.latent_shape, 0, draws, "benchmark")

    def prompts(self, draws: range) -> list[str]:
        """One text for all."""
        return ["a dog"] * len(draws)

    def media(self, draws: range) -> Tensor:
        """Not asked for."""
        raise AssertionError("latents are enough")


def latent_shift(name: str, rows: int, precision: str) -> None:
    """A step of ``rows`` ablations of one sample, the dense model among them."""
    model = opened(name, weights="random", precision=precision)
    units = model.units(["operator"], ["denoiser"])
    knobs = LatentShift(samples=1, steps=1, batch_size=rows)
    ablations = Ablations(knobs, model, units, ["a dog"], range(1), 0)

    @torch.no_grad()
    def chunk() -> Mapping[str, Tensor]:
        return ablations.observe(range(rows), CPU)

    told("latent shift", model, chunk, rows)


def taylor(name: str, rows: int, precision: str) -> None:
    """The loss of one example at one timestep, and the gradients of its channels; ``rows`` is not used."""
    del rows
    model = opened(name, weights="random", precision=precision)
    weights = parameters_of(model, model.units(["channel"], ["denoiser"]))
    denoising = Denoising(model, Noise(model), seed=0)
    chunk = lambda: denoising.gradients(weights, torch.tensor([500]), range(1), CPU)  # noqa: E731
    told("Taylor", model, chunk, 3)  # a backward pass counts as two forward ones


def told(name: str, model: PipelineModel, chunk: Callable[[], Mapping[str, Tensor]], passes: int) -> None:
    """Run the chunk and print where its time went."""
    flop = 2 * passes * macs(model.components["denoiser"], model.example_inputs("denoiser", 1)).total
    machine = rate(model.pipeline.dtype)
    start, clock = time.process_time(), time.perf_counter()  # the profiler goes by the clock
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        found = chunk()
    seconds, whole = (
        time.process_time() - start,
        time.perf_counter() - clock,
    )  # kernels are timed by the clock
    assert all(each.to_dense().isfinite().all() for each in found.values())
    kernels = {event.key: event.self_cpu_time_total / 1e6 for event in watched.key_averages()}
    print(f"\n{name}: {seconds:.1f} CPU s for {flop / 1e12:.2f} T operations")
    for kernel in sorted(kernels, key=lambda key: -kernels[key])[:KERNELS]:
        print(f"    {kernels[kernel] / whole:5.1%}  {kernel}")
    print(f"    {1 - sum(kernels.values()) / whole:5.1%}  outside of kernels")
    share = flop / seconds / machine
    print(noted(f"{name}, a chunk of {model.name}: its rate over a matrix product's", [share]).line())


def rate(dtype: torch.dtype) -> float:
    """Operations per CPU second of a product of two large matrices."""
    one, times = torch.ones(SIDE, SIDE, dtype=dtype), list[float]()
    for _ in range(3):
        start = time.process_time()
        torch.mm(one, one)
        times.append(time.process_time() - start)
    return 2 * SIDE**3 / min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sd21", help="of conf/model")
    parser.add_argument("--rows", type=int, default=2, help="ablations of a batch of latent shift")
    parser.add_argument("--precision", default="fp32", help="fp32, bf16 or fp16")
    asked = parser.parse_args()
    print(f"{load()}; {asked.model} in {asked.precision}")
    print(ROW.format("", "peak, GiB", "CPU s", "wall s"))
    for work in (latent_shift, taylor):
        row(f"{work.__name__}, with opening", work, asked.model, asked.rows, asked.precision)


if __name__ == "__main__":
    main()
