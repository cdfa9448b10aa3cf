"""Requests over single weights: what is refused early, and what a model without a component does."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from prunelab.core.errors import Refusal
from prunelab.core.protocols import Model
from prunelab.core.sparsity import Sparsity
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.latent_shift import LatentShift
from prunelab.scorers.wanda import Wanda
from prunelab.stages.bench import Part
from prunelab.stages.prune import nominal_total
from prunelab.stages.request import Request, fitted
from prunelab.stages.score import check_scorer


@dataclass(frozen=True)
class Denoiser:
    """All that is asked of a model here: its name and components."""

    name: str
    components: Any


def request(components: list[str], sparsity: Any) -> Request:
    nothing: Any = SimpleNamespace()
    parts: Any = dict.fromkeys(("scorer", "budget", "bypass", "evaluation", "timing"), nothing)
    chosen: Any = {"granularity": ["weight"], "components": components, "sparsity": Sparsity(sparsity)}
    return Request(**parts, **chosen, recovery=None, metrics=[], labels={}, seed=0)


def test_a_model_without_a_text_encoder_has_its_denoiser_pruned() -> None:
    model: Any = Denoiser("unconditional", {"denoiser": None})
    asked = request(["text_encoder", "denoiser"], {"text_encoder": 0.475, "denoiser": 0.35})
    left = fitted(asked, model)
    assert (left.components, left.sparsity) == (["denoiser"], Sparsity({"denoiser": 0.35}))
    assert fitted(replace(asked, sparsity=Sparsity(0.3)), model).sparsity == Sparsity(0.3)
    with pytest.raises(Refusal, match="unconditional has no text_encoder: it has denoiser"):
        fitted(request(["text_encoder"], 0.3), model)


def test_misspelt_components_are_not_taken_for_absent_ones(model: PipelineModel) -> None:
    asked = request(["unet"], 0.3)
    assert fitted(asked, model) == asked  # and choosing units refuses it


def test_a_model_without_neurons_has_its_heads_pruned(
    latents: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    both = {"head": 0.2, "neuron": 0.3}
    asked = replace(request(["denoiser"], both), granularity=["head", "neuron"])
    left = fitted(asked, latents)
    assert (left.granularity, left.sparsity) == (["head"], Sparsity({"head": 0.2}))
    assert left.labels["granularity"] == "head"
    assert "tiny_uig_latent has no neuron units in denoiser" in capsys.readouterr().err
    alone = replace(asked, granularity=["neuron"])
    assert fitted(alone, latents) == alone  # and choosing units refuses it


def test_scorers_and_granularities_that_do_not_go_together(model: PipelineModel) -> None:
    both = ["text_encoder", "denoiser"]
    with pytest.raises(Refusal, match="scorer=wanda cannot score granularity=operator: it scores single w"):
        check_scorer(Part("wanda", Wanda(), {}), model.units(["operator"], both))
    with pytest.raises(Refusal, match="cannot score vae: it sees text_encoder and denoiser"):
        check_scorer(Part("wanda", Wanda(), {}), model.units(["conv_weight"], ["vae"]))
    check_scorer(Part("wanda", Wanda(), {}), model.units(["weight"], both))
    for kind in ("weight", "channel"):
        with pytest.raises(Refusal, match=f"cannot score granularity={kind}: .*gates equal their removal"):
            check_scorer(Part("latent_shift", LatentShift(), {}), model.units([kind], ["denoiser"]))


def test_only_single_weights_have_a_nominal_total(model: PipelineModel) -> None:
    both = ["text_encoder", "denoiser"]
    asked = {"text_encoder": 0.475, "denoiser": 0.35}
    text, unet = (sum(p.numel() for p in model.components[name].parameters()) for name in both)
    total = nominal_total(model, model.units(["weight"], both), Sparsity(asked))
    assert total == pytest.approx((0.475 * text + 0.35 * unet) / (text + unet))
    assert nominal_total(model, model.units(["head"], both), Sparsity(asked)) is None
