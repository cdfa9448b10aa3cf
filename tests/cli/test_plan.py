"""``prunelab plan``: what would go and what it would cost, with nothing computed on data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunelab.core.presets import EMBEDDED
from prunelab.models.pipeline import PipelineModel
from prunelab.scorers.random import Random

Command = Callable[..., Any]
CHOICES = (
    "scorer=magnitude",
    "granularity=head",
    "sparsity=0.4",
    "components=[denoiser,text_encoder]",
    "seed=3",
)
COUNTS = ("samples", "real", "held_out")
COSTS = ("parameters", "nonzeros", "macs", "macs_without_attention")


def planned(ended: Any) -> dict[str, Any]:
    return json.loads((ended.folder / "plan.json").read_text())


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever looks at examples or runs the model on them fails."""

    def used(*arguments: object, **keywords: object) -> None:
        raise AssertionError("something was computed on data")

    for name in ("sample", "predict", "encode", "decode", "embed"):
        monkeypatch.setattr(PipelineModel, name, used)
    monkeypatch.setattr("prunelab.data.digits.Digits.train", used)
    monkeypatch.setattr("prunelab.data.digits.Digits.test", used)


@pytest.mark.usefixtures("no_data")
def test_a_plan_from_random_scores(command: Command, tmp_path: Path, model: PipelineModel) -> None:
    ended = command("plan", *CHOICES, "logger=none", store=tmp_path / "store")
    plan = planned(ended)
    assert ended.computed == []
    assert not (tmp_path / "store").exists()
    assert set(plan) == {
        "schema",
        "scores",
        "model",
        "budget",
        "sparsity",
        "total",
        "components",
        "price",
        "units",
        "not_recognised",
        "zeros",
    }
    assert (plan["schema"], plan["scores"], plan["model"], plan["budget"]) == (
        1,
        "random",
        "tiny_t2i",
        "global",
    )
    assert plan["sparsity"] == {"requested": 0.4, "of": "elements", "nominal": None, "given_pruned": []}
    assert plan["zeros"] == {}
    units = model.units(["head"], ["denoiser", "text_encoder"])
    scores = Random(3).score(model, units)
    ranked = sorted(score for unit in units for score in scores[unit.name])
    last = ranked[int(0.4 * len(ranked)) - 1]
    assert plan["units"] == [
        {
            "name": u.name,
            "granularity": "head",
            "elements": u.elements,
            "removed": int((scores[u.name] <= last).sum()),
        }
        for u in units
    ]
    assert any("random scores" in line for line in ended.err)


@pytest.mark.usefixtures("no_data")
def test_what_a_plan_costs(command: Command, tmp_path: Path, model: PipelineModel) -> None:
    plan = planned(command("plan", *CHOICES, "logger=none", store=tmp_path / "store"))
    assert set(plan["components"]) == {"denoiser", "text_encoder", "vae"}
    for figures in (*plan["components"].values(), plan["total"]):
        assert set(figures) == set(COSTS)
    for cost in COSTS:
        for when in ("dense", "pruned"):
            assert plan["total"][cost][when] == sum(each[cost][when] for each in plan["components"].values())
    removed = {"denoiser": 0, "text_encoder": 0}
    by_name = {unit.name: unit for unit in model.units(["head"], list(removed))}
    for entry in plan["units"]:
        unit = by_name[entry["name"]]
        removed[unit.component] += entry["removed"] * unit.parameters_per_element(
            model.components[unit.component]
        )
    for component, gone in removed.items():
        parameters = plan["components"][component]["parameters"]
        assert parameters["dense"] == sum(p.numel() for p in model.components[component].parameters())
        assert parameters["dense"] - parameters["pruned"] == gone > 0
    assert plan["components"]["vae"]["macs"]["dense"] == plan["components"]["vae"]["macs"]["pruned"]


def test_after_a_run_the_plan_reads_its_scores(
    command: Command, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    choices = (*tiny, "scorer=magnitude", "sparsity=0.3")
    before = planned(command("plan", *choices, store=tmp_path / "store"))
    row = command(*choices, store=tmp_path / "store").rows()["pruned"]
    ended = command("plan", *choices, store=tmp_path / "store")
    after = planned(ended)
    assert (before["scores"], after["scores"]) == ("random", "magnitude")
    assert ended.computed == []
    assert before["units"] != after["units"]
    for cost in COSTS:
        assert after["total"][cost]["pruned"] == row["cost"][cost]
        assert after["components"]["denoiser"][cost]["pruned"] == row["cost"]["components"]["denoiser"][cost]


def test_a_plan_needs_no_other_processes(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launched(*arguments: object) -> bool:
        raise AssertionError("processes were started")

    monkeypatch.setattr("prunelab.engine.launch.launch", launched)
    ended = command("plan", *CHOICES, "devices=2", "trainer=ddp", "logger=none", store=tmp_path / "store")
    assert planned(ended)["scores"] == "random"


@pytest.mark.parametrize(
    "words",
    [
        "scorer=learned_gates components=[text_encoder] granularity=head",
        "scorer=wanda granularity=operator",
        "granularity=weight scorer=magnitude budget=groups recovery=lora",
        "granularity=head budget.of=parameters",
        "granularity=[operator,block]",
        "components=[denoisr]",
        "path=not/there",
        "recovery=none scratch=true",
        "evaluation.samples=0",
    ],
)
def test_a_plan_refuses_what_a_run_does(command: Command, tmp_path: Path, words: str) -> None:
    refusals = [
        command(job, *words.split(), "logger=none", store=tmp_path / "store").refusals
        for job in ("plan", "run")
    ]
    assert len(refusals[0]) == 1
    assert refusals[0] == refusals[1]


def test_a_plan_of_a_folder_reads_no_weights_and_calls_it_by_its_name(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*arguments: object) -> str:
        raise AssertionError("weights were read")

    monkeypatch.setattr("prunelab.models.origins.content_hash", read)
    (tmp_path / "my_model").symlink_to(EMBEDDED / "tiny_t2i")
    ended = command("plan", "path=my_model", *CHOICES, "logger=none", store=tmp_path / "store")
    assert planned(ended)["model"] == "my_model"
