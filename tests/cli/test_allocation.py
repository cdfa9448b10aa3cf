"""A budget that reads a second scorer: OWL's allocation by Wanda's scores, magnitude saying what goes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

Command = Callable[..., Any]


def only(store: Path, stage: str, file: str) -> dict[str, np.ndarray]:
    """The tensors of the one artifact of a stage (and scorer)."""
    (found,) = store.rglob(f"{stage}*/{file}")
    return load_file(found)


def block_of(name: str) -> str:
    """text_encoder/....layers.0.self_attn.q_proj#weight to its layer."""
    return name.split("layers.")[1].split(".", maxsplit=1)[0]


def test_owl_with_magnitude_takes_its_ratios_from_wanda(
    command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    share = 0.4
    words = ("granularity=weight", "components=[text_encoder]", "scorer=magnitude", "budget=owl")
    quick = (
        "budget.allocation.samples=16",
        "evaluation.samples=2",
        "evaluation.seeds=1",
        f"sparsity={share}",
    )
    ended = command(*tiny, *words, *quick, store=tmp_path / "store")
    assert ended.computed.count("score") == 2
    ended.rows()
    wanda, magnitude = (
        only(tmp_path, f"score*{name}", "scores.safetensors") for name in ("wanda", "magnitude")
    )
    plan = only(tmp_path, "prune", "plan.safetensors")
    pooled: dict[str, list[float]] = {}
    for name, values in wanda.items():
        pooled.setdefault(block_of(name), []).extend(values.tolist())
    ratios = {}
    for block, values in pooled.items():
        mean = math.fsum(values) / len(values)
        ratios[block] = sum(value > 7 * mean for value in values) / len(values)
    low, high = min(ratios.values()), max(ratios.values())
    assert low < high
    scaled = {block: 0.16 * (ratio - low) / (high - low) for block, ratio in ratios.items()}
    for name, values in magnitude.items():
        lost = share - scaled[block_of(name)] + sum(scaled.values()) / len(scaled)
        gone = np.argsort(values, kind="stable")[: int(len(values) * lost)]
        assert set(np.flatnonzero(~plan[name])) == set(gone)
