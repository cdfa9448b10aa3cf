"""Channels of a U-Net by magnitude, planned and physically removed, beside torch-pruning's own pruner.

    python benchmarks/channels.py [--share 0.25] [--rounds 5]

Both trace the embedded text-to-image model's U-Net with torch-pruning's dependency graph, take the same share
of every group of coupled channels by the group's magnitude, equally many from every head and norm group, and
remove them. Ours traces a copy without weights, makes a plan, and a model beside the dense one with what it
takes to save it; torch-pruning changes the model that it is given, here a copy, and leaves to the user what
up- and downsamplers count, which is corrected here. Printed are its CPU time over ours (above 1: this package
is faster), the median of the rounds and their range, and both models' parameters.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import copy
import statistics
import time
import warnings
from typing import Any

import torch
import torch_pruning
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from goals import load, noted
from torch import nn

from prunelab.budgets.uniform import Uniform
from prunelab.core.sparsity import Sparsity
from prunelab.costs.ledger import CostLedger
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.magnitude import Magnitude
from prunelab.surgery.slimming import slim


def ours(model: PipelineModel, share: float) -> nn.Module:
    """Units, scores, plan, and a physically pruned denoiser."""
    units = model.units(["channel"], ["denoiser"])
    scores = Magnitude(p=2.0).score(model, units)
    budget = Uniform(rounding="published")
    plan = budget.plan(scores, units, CostLedger(budget.of, model, units), Sparsity(share))
    return slim(model.components["denoiser"], units, plan)


def peer(model: PipelineModel, share: float) -> nn.Module:
    """What torch-pruning's pruner makes of a copy."""
    unet: Any = copy.deepcopy(model.components["denoiser"]).requires_grad_(True)
    attentions = [each for each in unet.modules() if isinstance(each, Attention)]
    heads = {layer: each.heads for each in attentions for layer in (each.to_q, each.to_k, each.to_v)}
    halves = {each.proj: 2 for each in unet.modules() if isinstance(each, GEGLU)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that it does not know
        pruner = torch_pruning.pruner.BasePruner(
            unet,
            model.example_inputs("denoiser", 1),
            importance=torch_pruning.importance.GroupMagnitudeImportance(),
            pruning_ratio=share,
            ignored_layers=[unet.conv_out],
            num_heads=heads,
            out_channel_groups=halves,
            output_transform=lambda output: output[0],
        )
        pruner.step()
    for each in unet.modules():
        if isinstance(each, Upsample2D | Downsample2D):
            each.channels, each.out_channels = each.conv.in_channels, each.conv.out_channels
    return unet.requires_grad_(False)  # type: ignore[no-any-return]


def parameters(module: nn.Module) -> int:
    """How many it has."""
    return sum(each.numel() for each in module.parameters())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=0.25, help="of the channels, that goes")
    parser.add_argument("--rounds", type=int, default=5, help="how often either way is timed")
    asked = parser.parse_args()
    model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
    inputs = model.example_inputs("denoiser", 1)
    times: dict[str, list[float]] = {"peer": [], "ours": []}
    found: dict[str, nn.Module] = {}
    for _ in range(asked.rounds):
        for name, way in (("peer", peer), ("ours", ours)):
            start = time.process_time()
            found[name] = way(model, asked.share)
            times[name].append(time.process_time() - start)
    ratios = [one / other for one, other in zip(*times.values(), strict=True)]
    print(f"{load()}; CPU seconds, medians of {asked.rounds} rounds")
    print(
        noted("channels by magnitude, planned and removed; torch-pruning: its time over ours", ratios).line()
    )
    whole = parameters(model.components["denoiser"])
    for name, module in found.items():
        with torch.no_grad():
            assert module(**inputs)[0].isfinite().all(), "what is pruned has to run"
        left = parameters(module)
        print(f"{name:5} {statistics.median(times[name]):6.2f} s, {left} of {whole} parameters")


if __name__ == "__main__":
    main()
