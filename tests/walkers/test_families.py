"""Units of every family's denoiser: how many, of which kinds, and that gating them is slimming them.

The denoisers are small instances of diffusers' own classes with noise for weights
(``tests/support/denoisers``).
"""

from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from denoisers import DENOISERS, GRANULARITIES, MISSED, NORMED_ACROSS, UNITS, denoiser
from torch import Tensor, nn

from prunelab.core.draws import generator
from prunelab.core.units import Unit
from prunelab.costs.meta_copy import meta_copy
from prunelab.surgery.gating import gated, gates_of
from prunelab.surgery.slimming import slim
from prunelab.walkers.coverage import Missed, missed
from prunelab.walkers.walk import walk

ROUND_OFF = 2e-5

# Fused and joint attentions, norms across heads, convolutions of every kind, operators of two streams.
SAVED = ("flux", "flux2", "stable_diffusion_35", "sana", "cogvideox", "wan", "modelscope")
# Fused and joint attentions, norms across heads, convolutions of every kind, operators of two streams.
SAVED = ("flux", "flux2", "stable_diffusion_35", "sana", "cogvideox", "wan", "modelscope")


@cache
def opened(name: str) -> tuple[nn.Module, dict[str, Any]]:
    return denoiser(name)


def output(root: nn.Module, inputs: dict[str, Any]) -> Tensor:
    made = root(**inputs)[0]
    return torch.stack(made) if isinstance(made, list) else made


def drawn_plan(units: list[Unit], share: float) -> dict[str, Tensor]:
    """Elements go with a probability of ``share``; of units that keep one, the first stays."""
    plan = {}
    for unit in units:
        keep = torch.rand(unit.elements, generator=generator(1, 0, unit.name)) >= share
        keep[0] |= bool(unit.runs)
        plan[unit.name] = keep
    return plan


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("name", DENOISERS)
@torch.no_grad()
def test_gate_equals_slim(name: str, granularity: str) -> None:
    """Half of the elements gone, and all that may go."""
    root, inputs = opened(name)
    units = walk("denoiser", root, [granularity], lambda: inputs)
    assert len(units) == UNITS[name][GRANULARITIES.index(granularity)]
    dense = output(root, inputs)
    for share in (0.5, 1.0) if units else ():
        plan = drawn_plan(units, share)
        with gated({"denoiser": root}, units, gates_of(plan)):
            simulated = output(root, inputs)
        performed = output(slim(root, units, plan), inputs)
        off = (simulated - performed).abs().max() / simulated.abs().max()
        assert simulated.shape == performed.shape
        assert off <= (ROUND_OFF if all(unit.exact for unit in units) else 0.2)
        assert (simulated - dense).abs().max() > 1e-3


def test_units_are_inexact_only_where_a_norm_is_across_heads() -> None:
    for name in DENOISERS:
        root, inputs = opened(name)
        units = walk("denoiser", root, GRANULARITIES[:2], partial(dict, inputs))
        inexact = {unit.granularity for unit in units if not unit.exact}
        assert inexact == ({"head"} if name in NORMED_ACROSS else set()), name


@pytest.mark.parametrize("name", DENOISERS)
def test_what_is_missed_is_said(name: str) -> None:
    root, inputs = opened(name)
    asked = GRANULARITIES[:4]
    units = walk("denoiser", root, asked, lambda: inputs)
    left = missed({"denoiser": root}, ["denoiser"], asked, units)
    told = {(each.granularity, kind.kind, kind.count) for each in left for kind in each.missed}
    assert told == MISSED.get(name, set())


def test_a_line_says_how_many_of_what_and_why() -> None:
    root, inputs = opened("mochi")
    units = walk("denoiser", root, ["head"], lambda: inputs)
    (found,) = missed({"denoiser": root}, ["denoiser"], ["head"], units)
    line = str(found)
    assert line.startswith(
        "denoiser: head units in 0 of 3 attentions; not recognised: MochiAttentionPool x 1 ("
    )
    assert "MochiAttention x 2 (8,776 parameters: it does not run without some: " in line
    assert "\n" not in line
    attention = Missed("JointAttention", 24, 12_300_000, "")
    assert str(attention) == "JointAttention x 24 (12.3M parameters)"


@pytest.mark.parametrize("name", SAVED)
@torch.no_grad()
def test_saved_equals_loaded(name: str, tmp_path: Path) -> None:
    root, inputs = opened(name)
    for number, asked in enumerate((["head", "neuron", "modulation"], ["operator"], ["block"])):
        units = walk("denoiser", root, asked, lambda: inputs)
        small: Any = slim(root, units, drawn_plan(units, 0.6))
        small.save_pretrained(tmp_path / str(number))
        loaded = type(small).from_pretrained(tmp_path / str(number)).requires_grad_(False)
        assert torch.equal(output(small, inputs), output(loaded, inputs))


@torch.no_grad()
def test_without_numbers_the_same_is_found() -> None:
    """On the meta device what is refused is refused by its shapes."""
    for name in ("deepfloyd", "stable_diffusion_3", "dit", "ltx"):
        root, inputs = opened(name)
        given = partial(dict, inputs)
        seen = [walk("denoiser", each, GRANULARITIES, given) for each in (root, meta_copy(root))]
        assert seen[0] == seen[1]


@torch.no_grad()
def test_a_scattered_linear_takes_an_adapter() -> None:
    """What it says that it returns is what it returns, though its weight has fewer rows."""
    from peft import LoraConfig, inject_adapter_in_model

    root, inputs = opened("flux")
    units = walk("denoiser", root, ["modulation"], lambda: inputs)
    small = slim(root, units, drawn_plan(units, 0.5))
    before = output(small, inputs)
    paths = [unit.path for unit in units]
    layers = [small.get_submodule(path) for path in paths]
    assert all(layer.out_features > len(layer.weight) for layer in layers)
    adapted = inject_adapter_in_model(LoraConfig(r=2, target_modules=paths), small)
    assert torch.equal(output(adapted, inputs), before)  # an adapter starts from zero
