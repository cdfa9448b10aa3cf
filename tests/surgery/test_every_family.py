"""Every small pipeline, at every granularity that it has: planned, pruned, sampled, saved and reopened.

Half an hour: run by ``make test-families`` alone. The tests of the parts run always, on fewer families.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from families import FAMILIES, REFUSED
from plain_diffusers import call, drawn_here, drawn_there
from torch import Tensor

import prunelab
from prunelab.budgets.everywhere import Everywhere
from prunelab.budgets.groups import Groups
from prunelab.budgets.uniform import Uniform
from prunelab.core.draws import normal
from prunelab.core.errors import Refusal
from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.random import Random
from prunelab.stages.bench import Bench
from prunelab.stages.prune import slimmed
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.portable import settled

pytestmark = pytest.mark.acceptance
GRANULARITIES = sorted(
    path.stem for path in (Path(__file__).parents[2] / "conf" / "granularity").glob("*.yaml")
)
SUPPORTED = sorted({*FAMILIES} - {*REFUSED})


@dataclass
class Pruned:
    """Pruned folders by family and granularity, and what the reopened pipeline made of them here."""

    place: Path
    folders: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    here: dict[str, Tensor] = field(default_factory=dict)
    stock: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Pruned:
    return Pruned(tmp_path_factory.mktemp("families"))


@pytest.fixture(scope="module")
def task() -> Any:
    return prunelab.open_task("t2i")


def granularities(model: Any) -> Iterator[str]:
    """Those of which there are two elements and more: something goes, and something stays."""
    for granularity in GRANULARITIES:
        if sum(unit.elements for unit in model.units([granularity], ["denoiser"])) > 1:
            yield granularity


def budget_of(units: Sequence[Unit]) -> Any:
    """Single weights are cut by matrix, what keeps equally many in each run by layer."""
    if any(unit.matrix is not None for unit in units):
        return Groups()
    return Uniform() if any(unit.runs for unit in units) else Everywhere()


def plan(bench: Bench, granularity: str) -> tuple[Any, Any]:
    """Random scores under a budget, planned and pruned as a run does; and the plan."""
    scored = prunelab.score(bench, Random(), granularity)
    budget = budget_of(scored.units)
    return prunelab.plan(bench, scored, budget, 0.5), prunelab.prune(bench, scored, budget, 0.5)


@pytest.mark.parametrize("name", SUPPORTED)
@torch.no_grad()
def test_pruned_at_every_granularity_and_opened_again(name: str, pruned: Pruned, task: Any) -> None:
    """Gated, physically pruned, saved and reopened are one model; plain diffusers comes in the next test."""
    small, folder = FAMILIES[name](), pruned.place / f"{name} dense"
    small.pipeline.save_pretrained(folder)
    model = PipelineModel.open(name, str(folder), call=small.call)
    bench = prunelab.open_bench(model, task, pruned.place / "store")
    conditions = model.embed([{"text": "a red house", "label": "1", "none": ""}[small.prompt]])
    noise = normal(model.latent_shape, 0, range(1), "test")

    def sampled(of: Any) -> Tensor:
        return of.sample(conditions, noise, 2, 1.0, last=True)[-1]

    dense, found = sampled(model), list(granularities(model))
    assert found
    for granularity in found:
        keep, made = plan(bench, granularity)
        units = made.scored.units
        assert any(not kept.all() for kept in keep.values()), granularity
        smaller = slimmed(model, units, keep)
        ours = sampled(smaller)
        assert ours.isfinite().all(), granularity
        assert not torch.equal(ours, dense), granularity
        if all(unit.exact for unit in units):
            with gated(model.components, units, gates_of(keep)):
                torch.testing.assert_close(sampled(model), ours, rtol=1e-3, atol=1e-3)
        assert torch.equal(sampled(made.model), ours), granularity
        place = made.artifact.path / "model"
        cell = f"{name} {granularity}"
        pruned.folders[cell] = (str(place), call(small))
        check_reopened(cell, drawn_here(smaller, small, folder), pruned)


def check_reopened(cell: str, before: Tensor, pruned: Pruned) -> None:
    """By prunelab, and without any code where the pruned shape is a stock configuration.

    ``before`` it was saved its weights lay elsewhere, and so the last bits may be others.
    """
    place, given = pruned.folders[cell]
    stock = pruned.place / f"{cell} stock"
    again = drawn(prunelab.load_pruned(place), given)
    torch.testing.assert_close(again, before, rtol=1e-4, atol=1e-4)
    pruned.here[cell] = again
    try:
        prunelab.save_stock(place, stock)
    except Refusal:
        return
    assert torch.equal(drawn(DiffusionPipeline.from_pretrained(stock), given), again), cell
    pruned.stock.add(cell)


def drawn(pipeline: Any, given: Mapping[str, Any]) -> Tensor:
    """Diffusers leaves tensors where they lie in the file, which decides their last bits: not so here."""
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            settled(part)
    pipeline.set_progress_bar_config(disable=True)
    return torch.as_tensor(pipeline(generator=torch.Generator().manual_seed(0), **given)[0])


def test_plain_diffusers_makes_the_same_of_them_bit_for_bit(pruned: Pruned) -> None:
    """In an environment without prunelab, opened with its code, and once more when saved again."""
    assert {cell.partition(" ")[0] for cell in pruned.folders} == {*SUPPORTED}, "the tests above ran, too"
    there, found = drawn_there(pruned.place, pruned.folders, {}, owned=True)
    assert found["prunelab"] is False
    other = [
        f"{cell}{again}"
        for cell, here in pruned.here.items()
        for again in ("", " again")
        if not torch.equal(here, there[f"{cell}{again}"])
    ]
    print(f"{len(pruned.here)} pruned pipelines; stock configurations: {sorted(pruned.stock)}")
    assert other == []
