"""A model of real size on a CPU: memory and time of the dense one and of the slimmed one, and of slimming.

    python benchmarks/real_sizes.py [--model sd15] [--side 16] [--share 0.3] [--precision fp32]
        [--planned flux_dev]

A model of ``conf/model`` with random weights is saved, slimmed by a share of its heads and neurons, and saved
again. Then each of the two is opened from its folder and samples two steps at latents of ``side`` x ``side``.
Every row is measured in a process of its own, so that its peak is nobody else's; all of them share the
imports of the first. The last row slims another architecture in bf16 without its weights, on the meta device.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from goals import load, noted
from torch import nn

from prunelab.core.draws import normal
from prunelab.core.presets import made, preset
from prunelab.models.origins import DTYPES
from prunelab.models.pipeline import PipelineModel
from prunelab.surgery.slimming import slim

ROW = "{:34} {:>12} {:>10} {:>10}"


def opened(
    name: str, path: Path | None = None, weights: str = "pretrained", **settings: Any
) -> PipelineModel:
    """A model of ``conf/model``."""
    node = preset("model", name, path=path and str(path), weights=weights)["open"]
    model: PipelineModel = made({**node, **settings})
    return model


def slimmed(model: PipelineModel, share: float) -> nn.Module:
    """The denoiser without the last ``share`` of every unit's heads and neurons."""
    root, units = model.components["denoiser"], model.units(["head", "neuron"], ["denoiser"])
    plan = {unit.name: torch.arange(unit.elements) < (1 - share) * unit.elements for unit in units}
    return slim(root, units, plan)


def saved_dense(name: str, folder: Path, precision: str) -> None:
    """The dense model in ``folder``."""
    opened(name, weights="random", precision=precision).save(folder)


def saved_slim(name: str, dense: Path, folder: Path, share: float, precision: str) -> None:
    """The slimmed model in ``folder``."""
    model = opened(name, dense, precision=precision)
    model.with_components({"denoiser": slimmed(model, share)}).save(folder)


@torch.no_grad()
def sampled(name: str, folder: Path, side: int, precision: str) -> None:
    """Two steps from a prompt."""
    call = {"height": 8 * side, "width": 8 * side}
    model = opened(name, folder, precision=precision, call=call)
    noise = normal(model.latent_shape, 0, range(1), "benchmark").to(DTYPES[precision])
    assert model.sample(model.embed(["a dog"]), noise, 2, 1.0, last=True).isfinite().all()


def without_weights(name: str, share: float) -> None:
    """A slimmed denoiser in bf16 on the meta device."""
    slimmed(opened(name, shapes=True, precision="bf16"), share)


def row(label: str, work: Callable[..., None], *given: Any) -> Mapping[str, float]:
    """What ``work`` takes in a process of its own: printed, and returned."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(there, work, given))
    process.start()
    there.close()
    found: Mapping[str, float] = here.recv()
    process.join()
    print(ROW.format(label, *(f"{value:.2f}" for value in found.values())), flush=True)
    return found


def _measured(there: Connection, work: Callable[..., None], given: tuple[Any, ...]) -> None:
    start, clock = time.process_time(), time.perf_counter()
    work(*given)
    seconds = time.process_time() - start, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kilobytes
    there.send({"GiB": peak, "CPU": seconds[0], "wall": seconds[1]})


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sd15", help="of conf/model, for text")
    parser.add_argument("--side", type=int, default=16, help="of the latents")
    parser.add_argument("--share", type=float, default=0.3, help="of heads and of neurons that goes")
    parser.add_argument("--precision", default="fp32", help="fp32, bf16 or fp16")
    parser.add_argument("--planned", default="flux_dev", help="what is slimmed without its weights")
    asked = parser.parse_args()
    print(f"{load()}; {asked.model} in {asked.precision}")
    print(ROW.format("", "peak, GiB", "CPU s", "wall s"))
    name, precision = asked.model, asked.precision
    with tempfile.TemporaryDirectory() as place:
        dense, small = Path(place) / "dense", Path(place) / "slim"
        row("made and saved", saved_dense, name, dense, precision)
        row("opened, slimmed and saved", saved_slim, name, dense, small, asked.share, precision)
        peaks = [
            row(f"{each.name}: opened, two steps", sampled, name, each, asked.side, precision)["GiB"]
            for each in (dense, small)
        ]
    print(
        noted(
            f"{name}, two steps: peak of the slimmed model over the dense one's", [peaks[1] / peaks[0]]
        ).line()
    )
    row(f"{asked.planned} slimmed without weights", without_weights, asked.planned, asked.share)


if __name__ == "__main__":
    main()
