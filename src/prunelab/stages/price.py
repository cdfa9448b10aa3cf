"""The price of a run before it is run: passes, operations, memory and hours, stage by stage."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import torch
from rich.filesize import decimal
from rich.table import Table
from torch import nn
from torch.utils._pytree import tree_leaves

from prunelab.core.prices import Price, Priced, PricedMethod, under_guidance
from prunelab.core.protocols import Model, Scorer
from prunelab.core.units import Unit
from prunelab.costs.live_tensors import peak_of_new_tensors
from prunelab.evaluation.evaluation import Evaluation
from prunelab.stages.bench import Bench
from prunelab.stages.request import Request
from prunelab.trainers.hardware import Hardware

# A device that is rented: its peak in bf16, and the share of it that diffusers' U-Nets are taken to reach.
STATED, PEAK, SHARE = "A100", 312e12, 0.3
PROBED, ROUNDS = 8, 3  # samples at once, and how often they are timed
ADAM = 4  # times the weights: themselves, their gradients, and two moments


def price(bench: Bench, request: Request, units: Sequence[Unit]) -> dict[str, Any]:
    """``stages``: a figure per stage; ``device``: whose hours they are beside the stated one's.

    The denoiser's passes alone are counted: text encoders and autoencoders run once per sample, the denoiser
    at every step. Without weights nothing is timed, and neither memory nor this machine's hours are known.
    """
    model, macs = bench.model, bench.counts.of(bench.model, "denoiser").total
    told = asked(model, request, units)
    known = next(model.components["denoiser"].parameters()).device.type != "meta"
    rate, held = _probed(model, macs) if known else (None, {})
    kept = sets(bench.hardware, request.scorer.value)
    stages = {
        name: each and {**_figures(model, name, each, macs, rate, held), "sums_bytes": kept * each.sums}
        for name, each in told.items()
    }
    return {"stages": stages, "rate": rate, "stated": {"device": STATED, "peak": PEAK, "share": SHARE}}


def sets(hardware: Hardware, scorer: object) -> int:
    """How many sets of sums are kept: over all samples, and over half of them where the two are compared."""
    return 1 + (hardware.halves or getattr(scorer, "stable", None) is not None)


def asked(model: Model, request: Request, units: Sequence[Unit]) -> dict[str, Price | None]:
    """The price of each stage; None of one that does not say."""
    scorer, recovery = request.scorer.value, request.recovery
    stages: dict[str, Price | None] = {
        "score": scorer.price(model, units) if isinstance(scorer, Priced) else None
    }
    if isinstance(scorer, Scorer):
        stages["score"] = Price()
    states = 2
    if recovery is not None:
        method: Any = recovery.value.method
        schedule = recovery.value.schedule
        draws = schedule.steps * schedule.batch_size * (1 + request.scratch)
        stages["recover"] = (
            method.price(draws, schedule.batch_size) if isinstance(method, PricedMethod) else None
        )
        states += 1 + request.scratch
    stages["evaluate"] = evaluation(model, request.evaluation.value, states)
    return stages


def evaluation(model: Model, knobs: Evaluation, states: int) -> Price:
    """Of samples of so many models, and of their outputs on held-out latents."""
    sampled = knobs.seeds * (knobs.samples + (knobs.seen if model.prompted else 0)) * knobs.steps
    passes = sampled * under_guidance(model, knobs.guidance) + knobs.held_out
    return Price(states * passes, batch=knobs.batch_size * under_guidance(model, knobs.guidance))


def _figures(
    model: Model, stage: str, told: Price, macs: int, rate: float | None, held: Mapping[str, int]
) -> dict[str, Any]:
    """What ``plan.json`` says of a stage."""
    size = told.batch * held["backward" if told.backward else "forward"] if held and told.forward else 0
    kept = told.kept(size)
    told = told.keeping(kept)
    flop = told.flop(macs)
    return {
        "forward_passes": told.forward,
        "backward_passes": told.backward,
        "flop": flop,
        "peak_memory_bytes": _memory(model, stage) + max(1, kept) * size if held else None,
        "hours": None if rate is None else flop / rate / 3600,
        "hours_stated": flop / (PEAK * SHARE) / 3600,
    }


def _memory(model: Model, stage: str) -> int:
    """Of the weights; a training has gradients and moments, too."""
    whole = sum(_bytes(each) for each in model.components.values())
    if stage == "recover":
        whole += (ADAM - 1) * _bytes(model.components["denoiser"])
    return whole


def _bytes(module: nn.Module) -> int:
    return sum(each.numel() * each.element_size() for each in module.parameters())


def _probed(model: Model, macs: int) -> tuple[float, dict[str, int]]:
    """Operations per second of forward passes here, and the bytes that one sample's passes hold."""
    denoiser, many = model.components["denoiser"], model.example_inputs("denoiser", PROBED)
    one = model.example_inputs("denoiser", 1)
    weight = next(denoiser.parameters())

    def ahead() -> None:
        with torch.no_grad():
            denoiser(**one)

    def there_and_back() -> None:
        weight.requires_grad_(True)
        output = next(each for each in tree_leaves(denoiser(**one)) if isinstance(each, torch.Tensor))
        torch.autograd.grad(output.sum(), weight)
        weight.requires_grad_(False)

    held = {"forward": peak_of_new_tensors(ahead), "backward": peak_of_new_tensors(there_and_back)}
    return 2 * macs * PROBED / _seconds(denoiser, many), held


@torch.no_grad()
def _seconds(denoiser: nn.Module, inputs: Mapping[str, Any]) -> float:
    """Of the fastest of some calls: what else the machine does slows the others."""
    found = []
    for _ in range(1 + ROUNDS):
        start = perf_counter()
        denoiser(**inputs)
        found.append(perf_counter() - start)
    return min(found)


def price_table(content: Mapping[str, Any]) -> Table:
    """The price for people."""
    columns = ("forward passes", "backward", "TFLOP", "memory", "hours here", f"hours on one {STATED}")
    caption = f"{STATED}: stated, {SHARE:.0%} of {PEAK / 1e12:.0f} TFLOP/s; passes of the denoiser, at most"
    kept = (content["stages"]["score"] or {}).get("sums_bytes")
    if kept:
        caption += f"; scores keep {decimal(kept)} of sums in main memory"
    shown = Table("stage", *columns, title="what the run would cost", caption=caption)
    for stage, figures in content["stages"].items():
        if figures is None:
            shown.add_row(stage, "not declared by this part", *[""] * (len(columns) - 1))
            continue
        memory, hours = figures["peak_memory_bytes"], figures["hours"]
        shown.add_row(
            stage,
            f"{figures['forward_passes']:,}",
            f"{figures['backward_passes']:,}",
            f"{figures['flop'] / 1e12:,.3g}",
            "-" if memory is None else f"{memory / 2**30:.2f} GiB",
            "-" if hours is None else f"{hours:.3g}",
            f"{figures['hours_stated']:.3g}",
        )
    return shown
