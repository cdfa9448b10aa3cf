"""Pruned folders in a second environment, that has diffusers and not prunelab.

Its packages are those of this environment but one; what is tried there, in one process, is in elsewhere.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from plain_diffusers import call, drawn_here, drawn_there
from torch import Tensor

from prunelab.core.draws import generator
from prunelab.core.protocols import Model
from prunelab.models.pipeline import PipelineModel
from prunelab.stages.prune import slimmed

# Family -> how it is pruned, one time after the other: granularities and components.
FAMILIES: dict[str, list[tuple[list[str], list[str]]]] = {
    "stable_diffusion": [(["head", "neuron"], ["denoiser"]), (["block"], ["denoiser", "text_encoder"])],
    "dit": [(["head", "neuron", "modulation"], ["denoiser"])],
    "flux_dev": [(["head", "neuron"], ["denoiser", "text_encoder_2"])],
    "wan": [(["block"], ["denoiser"])],
    "ddpm": [(["channel"], ["denoiser"])],
}
USED = {"stable_diffusion": "unet", "flux_dev": "transformer"}


@dataclass(frozen=True)
class Elsewhere:
    """What the pruned pipelines made here and there, and what was found there."""

    here: dict[str, Tensor]
    there: dict[str, Tensor]
    found: dict[str, Any]


def pruned(model: Model, granularity: list[str], components: list[str]) -> Model:
    units = model.units(granularity, components)
    plan = {u.name: torch.ones(u.elements, dtype=torch.bool) for u in units}
    for unit in units:
        if not unit.runs:
            plan[unit.name] = torch.rand(unit.elements, generator=generator(5, 0, unit.name)) > 0.3
    if units[0].runs:  # runs of channels keep equally many
        plan[units[0].name].view(units[0].runs, -1)[:, ::2] = False
    return slimmed(model, units, plan)


@pytest.fixture(scope="module")
def elsewhere(family: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    place, here, asked, used = tmp_path_factory.mktemp("elsewhere"), {}, {}, {}
    for name, times in FAMILIES.items():
        small, folder = family(name)
        model: Any = PipelineModel.open(name, str(folder), call=small.call)
        for granularity, components in times:
            model = pruned(model, granularity, components)
        model.save(place / name)
        asked[name] = (str(place / name), call(small))
        here[name] = drawn_here(model, small, folder)
        if name in USED:
            used[name] = (USED[name], str(folder))
    return Elsewhere(here, *drawn_there(place, asked, used))


def test_prunelab_is_not_there(elsewhere: Elsewhere) -> None:
    assert elsewhere.found["prunelab"] is False


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_bit_identical_and_so_when_saved_again(elsewhere: Elsewhere, name: str) -> None:
    assert torch.equal(elsewhere.here[name], elsewhere.there[name])
    assert torch.equal(elsewhere.here[name], elsewhere.there[f"{name} again"])


@pytest.mark.parametrize("name", USED)
def test_a_component_opens_alone(elsewhere: Elsewhere, name: str) -> None:
    assert elsewhere.found[name]["alone"] is True


@pytest.mark.parametrize("name", USED)
def test_it_opens_in_half_precision(elsewhere: Elsewhere, name: str) -> None:
    assert 0 < elsewhere.found[name]["half"] < 0.05


@pytest.mark.parametrize("name", USED)
def test_it_compiles(elsewhere: Elsewhere, name: str) -> None:
    assert elsewhere.found[name]["compiled"] is True


@pytest.mark.parametrize("name", USED)
def test_it_takes_an_adapter_and_lets_go_of_it(elsewhere: Elsewhere, name: str) -> None:
    found = elsewhere.found[name]
    assert (found["adapted"], found["moved"], found["restored"]) == (True, True, True)


@pytest.mark.parametrize("name", USED)
def test_its_own_adapter_is_saved_loaded_scaled_and_unloaded(elsewhere: Elsewhere, name: str) -> None:
    found = elsewhere.found[name]
    assert (found["loaded"], found["scaled"], found["unloaded"]) == (True, True, True)


# Diffusers would make room for it in Flux, and the pipeline would no longer run.
DENSE_ADAPTER = {
    "stable_diffusion": "RuntimeError: .*size mismatch",
    "flux_dev": r"ValueError: the adapter is one of another .*proj_out reads \d+ features, not 80, since",
}


@pytest.mark.parametrize("name", USED)
def test_an_adapter_of_the_dense_model_is_refused_and_changes_nothing(
    elsewhere: Elsewhere, name: str
) -> None:
    found = elsewhere.found[name]
    assert re.match(DENSE_ADAPTER[name], found["refused"], re.DOTALL)
    assert found["kept"] is True


@pytest.mark.parametrize("name", USED)
def test_its_parts_can_be_offloaded(elsewhere: Elsewhere, name: str) -> None:
    """On the CPU itself, which is where diffusers' hooks can be tried without an accelerator."""
    assert elsewhere.found[name]["offloaded"] is True


@pytest.mark.parametrize("name", USED)
def test_pushing_it_sends_its_code_and_a_card(elsewhere: Elsewhere, name: str) -> None:
    sent = elsewhere.found[name]["uploaded"]
    assert {"README.md", "model_index.json", f"{USED[name]}/pruned_model.py"} <= set(sent)
