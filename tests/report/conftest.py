"""Made-up rows and pictures of a dense, a pruned and a recovered model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity
from prunelab.previews.picture import pictures as preview_of

MakeRow = Callable[..., dict[str, Any]]
QUANTITIES = {
    "frechet_distance": Quantity("Fréchet distance", "lower", "to real data", breaks=True),
    "prompt_accuracy": Quantity("Prompt accuracy", "higher", "as asked", percent=True, breaks=True),
    "psnr": Quantity("PSNR to dense", "higher", "same seeds", unit="dB", aside=True),
}


def estimate(value: float | None, width: float = 0.01) -> dict[str, Any]:
    if value is None:
        return {"value": None, "low": None, "high": None, "n": 0}
    return {"value": value, "low": value - width, "high": value + width, "n": 400}


def make_row(
    state: str, scorer: str = "magnitude", sparsity: float = 0.3, seed: int = 0, median: float = 10.0
) -> dict[str, Any]:
    dense = state == "dense"
    kept = 1.0 if dense else 1 - sparsity
    counts = {name: int(1000 * kept) for name in ("parameters", "nonzeros", "macs", "macs_without_attention")}
    return {
        "state": state,
        "task": "text_to_image",
        "model": "tiny_t2i",
        "scorer": None if dense else scorer,
        "granularity": None if dense else ["operator", "head"],
        "budget": None if dense else "global",
        "recovery": "distill" if state == "recovered" else None,
        "seed": seed,
        "sparsity": {
            "requested": None if dense else sparsity,
            "of": None if dense else "parameters",
            **dict.fromkeys(("elements", "parameters", "nonzeros", "macs"), 1 - kept),
            "nominal": None,
        },
        "metrics": {
            "frechet_distance": estimate(50 + 100 * (1 - kept) + seed, 2.0),
            "prompt_accuracy": estimate(0.9),
            "psnr": estimate(None if dense else 24.0),
        },
        "quantities": {name: kind.as_json() for name, kind in QUANTITIES.items()},
        "cost": {
            **counts,
            "latency_ms": {"denoiser_b1": {"median": median, "p95": median * 1.1}},
            "peak_memory_bytes": None,
            "disk_bytes": int(2_500_000 * kept),
            "compressed_bytes": None,
            "components": {"denoiser": counts},
        },
        "address": "evaluate-dense-0" if dense else f"evaluate-{state}-{scorer}-{sparsity}-{seed}",
    }


@pytest.fixture
def row() -> MakeRow:
    return make_row


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [make_row("dense"), make_row("pruned", median=5.0), make_row("recovered", median=9.5)]


def make_picture(state: str, seed: int, label: str = "") -> Preview:
    pixels = np.random.default_rng(seed).integers(0, 256, size=(3, 8, 6, 3), dtype=np.uint8)
    return preview_of(state, label, pixels, ["a red three", "a <b>bold</b> one", "a blue & green two"])


@pytest.fixture
def picture() -> Callable[..., Preview]:
    return make_picture


@pytest.fixture
def pictures() -> list[Preview]:
    return [make_picture(state, seed) for seed, state in enumerate(("dense", "pruned", "recovered"))]
