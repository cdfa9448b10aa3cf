"""A granularity that nothing has heard of is one walker: scorers, budgets, surgery and the report take it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from prunelab.core.units import Unit
from prunelab.walkers.walk import WALKERS

Command = Callable[..., Any]
NEURONS = WALKERS["neuron"]


def half_neurons(component: str, root: nn.Module, *context: Any) -> Iterator[Unit]:
    """Pairs of neurons: an element is two neighbours, which live or die together."""
    for unit in NEURONS(component, root, *context):
        pieces = tuple(replace(piece, block=2 * piece.block) for piece in unit.slices)
        gate = replace(unit.gate, block=2 * unit.gate.block)
        counters = tuple(replace(counter, block=2 * counter.block) for counter in unit.counters)
        pairs = replace(unit, granularity="pair", elements=unit.elements // 2, slices=pieces, gate=gate)
        yield replace(pairs, counters=counters)


def test_it_runs(
    command: Command, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WALKERS, "pair", half_neurons)
    few = ("scorer.samples=2", "scorer.threshold=null", "scorer.stride=500", "scorer.batch_size=2")
    ended = command(
        *tiny, "scorer=taylor", *few, "granularity=pair", "sparsity=0.25", store=tmp_path / "store"
    )
    row = ended.rows()["pruned"]
    assert (row["granularity"], row["sparsity"]["requested"]) == ("pair", 0.25)
    assert row["sparsity"]["elements"] == 0.25
    structure = json.loads((ended.folder / "models" / "pruned" / "unet" / "config.json").read_text())
    assert "pair" not in json.dumps(structure), "the saved model opens without the walker"
    assert ">taylor · pair ·" in (ended.folder / "report.html").read_text("utf-8")
