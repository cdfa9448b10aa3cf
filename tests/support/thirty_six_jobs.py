"""The reports of a sweep of 36 jobs, made up: four methods, three sparsities, three seeds, the control."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity
from prunelab.previews.picture import pictures
from prunelab.previews.sound import sounds
from prunelab.report import Curve, Line

QUANTITIES = {
    "distance": Quantity("Fréchet distance", "lower", "to real data", breaks=True),
    "accuracy": Quantity("Prompt accuracy", "higher", "as asked", percent=True, breaks=True),
    "kept_structure": Quantity("SSIM to dense", "higher", "same seeds"),
    "peak": Quantity("PSNR to dense", "higher", "same seeds", unit="dB", aside=True),
    "other": Quantity("Kernel distance", "lower", "to real data", aside=True),
    "outputs": Quantity("Output distance", "lower", "on held-out inputs", aside=True),
}
METHODS = {"latent_shift": 0.6, "taylor": 0.65, "magnitude": 1.0, "random": 1.6}
SPARSITIES, SEEDS = (0.1, 0.3, 0.5), (0, 1, 2)
STATES = {"pruned": 1.0, "recovered": 0.4, "scratch": 0.9}
PLACES = [f"{side}_blocks.{i}" for side, count in (("down", 3), ("mid", 1), ("up", 3)) for i in range(count)]
UNITS = [f"denoiser/{place}.{kind}#operator" for place in PLACES for kind in ("resnets.0", "attentions.0")]
PROMPTS = ("a red three on a green background", "a blue seven on a white background", "an orange nine") * 3
CONDITIONS = {
    "data": "digits 3f2a9c01",
    "judge": "digit_judge 77aa12bc",
    "evaluation": "3 x 200 samples, 10 steps, guidance 2.0 (5d1e0f77)",
    "hardware": "Example CPU at 2.50 GHz, 1 thread",
}
PROVENANCE = {
    "command": "prunelab run scorer=latent_shift sparsity=0.3 seed=0 recovery=distill scratch=true",
    "version": "0.1.0",
    "commit": "0123456789ab",
    "libraries": {"torch": "2.7.0", "diffusers": "0.35.1"},
    "hardware": {"device": "cpu", "cpu": "Example CPU at 2.50 GHz", "cores": 4},
    "date": "2026-01-02T03:04:05+00:00",
}


def estimate(value: float, width: float) -> dict[str, Any]:
    return {"value": value, "low": value - width, "high": value + width, "n": 400}


def row(state: str, scorer: str = "magnitude", share: float = 0.0, seed: int = 0) -> dict[str, Any]:
    """A row whose quality follows from its arguments alone."""
    dense = state == "dense"
    harm = 0.0 if dense else METHODS[scorer] * STATES[state] * share * (1 + 0.04 * seed)
    kept = 1 - share
    counts = {name: int(1e6 * kept) for name in ("parameters", "nonzeros", "macs", "macs_without_attention")}
    made = {
        "state": state,
        "task": "t2i",
        "model": "tiny_t2i",
        "scorer": None if dense else scorer,
        "granularity": None if dense else "operator",
        "budget": None if dense else "global",
        "recovery": "distill" if state in ("recovered", "scratch") else None,
        "seed": seed,
        "sparsity": {
            "requested": None if dense else share,
            "of": None if dense else "parameters",
            **dict.fromkeys(("elements", "parameters", "nonzeros", "macs"), share),
        },
        "metrics": {
            "distance": estimate(20 + 90 * harm, 2.0),
            "accuracy": estimate(0.95 - 0.8 * min(harm, 1), 0.02),
            "kept_structure": estimate(1 - min(harm, 0.9), 0.01),
            "peak": estimate(30 - 9 * harm, 0.5),
            "other": estimate(10 + 40 * harm, 1.0),
            "outputs": estimate(0.01 + harm, 0.001),
        },
        "quantities": {name: kind.as_json() for name, kind in QUANTITIES.items()},
        "cost": {
            **counts,
            "latency_ms": {"denoiser_b1": {"median": 10 - 3 * share, "p95": 11 - 3 * share}},
            "peak_memory_bytes": None,
            "disk_bytes": int(4e6 * kept),
            "components": {"denoiser": counts, "text_encoder": dict.fromkeys(counts, 70_000)},
        },
        "address": f"{state}-{scorer}-{share}-{seed}" if not dense else "dense-0",
        "conditions": CONDITIONS,
        "control": scorer in ("random", "magnitude") and not dense,
        "addresses": {"score-magnitude-0123456789ab": "score", "prune-global-ba9876543210": "prune"},
        "provenance": PROVENANCE,
    }
    if state == "pruned":
        draws = np.random.default_rng(seed).random(len(UNITS)) * 2 * share
        made["layers"] = {unit: float(min(value, 1)) for unit, value in zip(UNITS, draws, strict=True)}
    return made


def shown(state: str, number: int) -> list[Preview]:
    """Pictures and sounds of one model."""
    draws = np.random.default_rng(number)
    pixels = draws.integers(0, 256, size=(9, 8, 8, 3), dtype=np.uint8)
    waves = draws.integers(-9000, 9000, size=(2, 1, 200)).astype(np.int16)
    return [pictures(state, "", pixels, PROMPTS), sounds(state, "", waves, 8000, ["one", "two"])]


def jobs() -> Iterator[tuple[str, list[dict[str, Any]], list[Preview], list[Curve]]]:
    """Name, rows, previews and curves of each job."""
    steps = [0, 10, 20]
    combinations = [(scorer, share, seed) for scorer in METHODS for share in SPARSITIES for seed in SEEDS]
    for number, (scorer, share, seed) in enumerate(combinations):
        rows = [row("dense"), *(row(state, scorer, share, seed) for state in STATES)]
        previews = [
            one
            for place, each in enumerate(rows)
            for one in shown(each["state"], place and 9 * number + place)
        ]
        loss = Curve("Training: recovered", "step", "loss", [Line("loss", steps, [1.0, 0.5, 0.4 + share])])
        yield str(number), rows, previews, [loss]


def swept() -> tuple[list[dict[str, Any]], list[Preview], list[Curve]]:
    """What the report of the sweep is made of: rows once, previews under their rows' labels."""
    rows: dict[str, dict[str, Any]] = {}
    previews: list[Preview] = []
    lines = []
    for _, own, samples, curves in jobs():
        new = [each for each in own if each["address"] not in rows]
        rows |= {each["address"]: each for each in new}
        named = {each["state"]: each for each in new}
        for one in samples:
            if one.state in named:
                each = named[one.state]
                words = f"{each['scorer']} · {each['sparsity']['requested']} · seed {each['seed']}"
                previews.append(replace(one, label=words if one.state != "dense" else ""))
        lines += [replace(line, label=own[1]["address"]) for line in curves[0].lines]
    previews.sort(key=lambda one: one.state != "dense")
    return list(rows.values()), previews, [Curve("Training: recovered", "step", "loss", lines[::3])]
