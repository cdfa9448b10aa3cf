"""The configuration tree is the test's list: a new file is covered the moment it exists.

Every choice of every group composes and instantiates; every scorer scores every granularity that it says it
can mean, with tiny settings, and gives finite numbers of the units' shapes.
"""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from pairs import pairs

from prunelab.artifacts import Store
from prunelab.cli.arguments import parse
from prunelab.cli.assembly import _addressed
from prunelab.cli.checking import check
from prunelab.core.presets import conf_folder, embedded
from prunelab.core.protocols import Model
from prunelab.core.scores import check_scores
from prunelab.core.settings import known_as
from prunelab.models.pipeline import PipelineModel
from prunelab.recovery.finetune import Finetune
from prunelab.recovery.recovery import Recovery
from prunelab.schedules.schedule import Schedule
from prunelab.stages.bench import Bench, Part
from prunelab.stages.described import part
from prunelab.stages.history import History
from prunelab.stages.score import check_scorer, choose_units, compute
from prunelab.tracking.silent import SilentRun, SilentTracker
from prunelab.trainers.hardware import Hardware


def choices(group: str) -> list[str]:
    return sorted(file.stem for file in (conf_folder() / group).glob("*.yaml"))


GROUPS = sorted(folder.name for folder in conf_folder().iterdir() if folder.is_dir())
CHOICES = [(group, name) for group in GROUPS for name in choices(group)]
PARTS = [
    (group, name)
    for group, name in CHOICES
    if group in ("budget", "bypass", "data", "recovery", "scorer", "trainer")
]
# What makes a scorer quick, by its knobs' names.
QUICK = {"samples": 2, "steps": 1, "stride": 500, "batch_size": 16, "prompts": 2}
FEW = 30  # elements, of which a scorer that removes one after the other is quick; at least one unit
QUICK_SCHEDULE = {"steps": 1, "batch_size": 2}
# Where the classes of a group live, where the room is not called as the group is, or as many of them.
ROOMS = {"granularity": {"walkers"}, "cluster": {"cli"}, "logger": {"tracking", "engine"}}
BUILT = re.compile(r"(?:_target_|path): (prunelab\.[\w.]+)")
# The names under which stores know the classes that have been moved since.
FIRST_NAMES = {
    "prunelab.bypasses.bypasses.Bypasses": "prunelab.stages.bypass.Bypasses",
    "prunelab.evaluation.evaluation.Evaluation": "prunelab.stages.evaluate.Evaluation",
    "prunelab.evaluation.timing.Timing": "prunelab.stages.time.Timing",
    "prunelab.recovery.recovery.Recovery": "prunelab.stages.recover.Recovery",
    "prunelab.schedules.schedule.Schedule": "prunelab.engine.optimise.Schedule",
}


@cache
def composed(*words: str) -> DictConfig:
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    with initialize_config_dir(str(conf_folder()), version_base=None):
        return compose("config", overrides=list(words))


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_composes(group: str, name: str) -> None:
    config = composed(f"+schedule@probe={name}" if group == "schedule" else f"{group}={name}")
    if group != "logger":  # a logger's folder is known once a job runs
        OmegaConf.to_container(config.get(group, config.scorer), resolve=True)
    assert "scorer" in config


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_every_part_instantiates(group: str, name: str) -> None:
    node = composed(f"{group}={name}")[group]
    made = instantiate(OmegaConf.to_container(node, resolve=True), _convert_="all")
    assert made == {"method": None} if (group, name) == ("recovery", "none") else not isinstance(made, dict)


def test_every_group_has_a_default_among_its_files() -> None:
    config = composed()
    for group in set(GROUPS) - {"experiment", "sweep", "schedule", "hydra"}:
        assert group in config, group


@pytest.mark.parametrize("group", GROUPS)
def test_what_a_group_builds_lives_in_its_room(group: str) -> None:
    files = [(conf_folder() / group / f"{name}.yaml").read_text("utf-8") for name in choices(group)]
    first = [found[0].split(".")[1] for text in files if (found := BUILT.findall(text))]
    room = ROOMS.get(group, {group, f"{group}s", f"{group}es"})
    assert {*first} <= room
    assert len({*first}) <= len(ROOMS.get(group, {group})), "one room for a group"


def test_addresses_call_what_was_moved_by_its_first_name() -> None:
    places = {
        each
        for group in GROUPS
        for name in choices(group)
        for each in BUILT.findall((conf_folder() / group / f"{name}.yaml").read_text("utf-8"))
    }
    named = {place: known_as(get_object(place), place) for place in places}
    assert {place: name for place, name in named.items() if name != place} == FIRST_NAMES
    for place, name in FIRST_NAMES.items():
        assert get_object(name) is get_object(place), "a yaml of one's own may call it so"
    recovery = part(
        "recovery", Recovery(Finetune(), Schedule(steps=1, batch_size=1, learning_rate=1.0), 1, 0)
    )
    said = [_addressed({"_target_": place}) for place in FIRST_NAMES]
    assert [node["_target_"] for node in said] == [*FIRST_NAMES.values()]
    assert recovery.settings["schedule"]["_target_"] == "prunelab.engine.optimise.Schedule"
    assert (recovery.name, recovery.settings["_target_"]) == ("recovery", "prunelab.stages.recover.Recovery")


SCORED = pairs()


def scorer(name: str, **knobs: int) -> Any:
    node = OmegaConf.to_container(composed(f"scorer={name}").scorer, resolve=True)
    assert isinstance(node, dict)
    quick = {key: {**QUICK, **knobs}[key] for key in QUICK.keys() & node.keys()}
    schedule = {"schedule": {**node["schedule"], **QUICK_SCHEDULE}} if "schedule" in node else {}
    return instantiate({**node, **quick, **schedule}, _convert_="all")


@pytest.fixture(scope="module")
def bench(model: PipelineModel, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    config = composed("data.train_size=64", "data.test_size=16")
    task = instantiate(config.task, _partial_=True, _convert_="all")(data=instantiate(config.data))
    return Bench(Store(tmp_path_factory.mktemp("store")), SilentTracker(), Hardware(), model, task)


@pytest.mark.parametrize(
    ("name", "granularity"), [(name, each) for name, known in SCORED.items() for each in known]
)
def test_every_scorer_scores_what_it_says_it_can(
    bench: Bench, flux: PipelineModel, name: str, granularity: str, tmp_path: Path
) -> None:
    if granularity == "modulation":  # of transformers alone
        sides = {**flux.call, "height": 32, "width": 32}  # those of the bench's pictures
        bench = replace(bench, model=PipelineModel(flux.name, flux.pipeline, "large", sides))
    chosen = Part(name, scorer(name), {})
    found = choose_units(bench, [granularity], ["denoiser"])[:3]
    check_scorer(chosen, found)
    units = [unit for i, unit in enumerate(found) if not i or sum(u.elements for u in found[: i + 1]) <= FEW]
    history = History(tmp_path / "history.json", SilentRun())
    scores = compute(bench, chosen.value, units, tmp_path / "checkpoints", history)
    check_scores(scores, units)
    again = compute(bench, scorer(name), units, tmp_path / "again", history)
    assert all(torch.equal(scores[unit.name], again[unit.name]) for unit in units)


@pytest.fixture(scope="module")
def uig(pixels: Model, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The bench of the task whose models take no prompts."""
    config = composed("task=uig", "data.train_size=64", "data.test_size=16")
    task = instantiate(config.task, _partial_=True, _convert_="all")(data=instantiate(config.data))
    return Bench(Store(tmp_path_factory.mktemp("uig")), SilentTracker(), Hardware(), pixels, task)


@pytest.mark.parametrize("name", choices("scorer"))
def test_every_scorer_scores_a_model_without_prompts(uig: Bench, name: str, tmp_path: Path) -> None:
    """In the first of its granularities that such a model has."""
    found = (uig.model.units([kind], ["denoiser"]) for kind in SCORED[name])
    units = next(units for units in found if units)[:3]
    history = History(tmp_path / "history.json", SilentRun())
    check_scores(compute(uig, scorer(name), units, tmp_path / "checkpoints", history), units)


def in_batches() -> list[str]:
    """The scorers whose batches are only a matter of memory."""
    return [name for name in choices("scorer") if "batch_size" in composed(f"scorer={name}").scorer]


@pytest.mark.parametrize("name", in_batches())
def test_one_batch_of_8_is_two_of_4(bench: Bench, name: str, tmp_path: Path) -> None:
    units = choose_units(bench, SCORED[name][:1], ["denoiser"])[:3]
    history = History(tmp_path / "history.json", SilentRun())
    eight, four = (
        compute(bench, scorer(name, samples=8, batch_size=size), units, tmp_path / str(size), history)
        for size in (8, 4)
    )
    assert eight.keys() == four.keys()
    for unit, scores in eight.items():
        torch.testing.assert_close(four[unit], scores, rtol=1e-3, atol=1e-4 * float(scores.abs().max()))


@pytest.mark.parametrize("name", choices("sweep"))
def test_every_job_of_a_sweep_passes_the_check(name: str) -> None:
    with initialize_config_dir(str(conf_folder()), version_base=None):
        whole = compose("config", overrides=[f"sweep={name}"], return_hydra_config=True)
    swept = [f"{key}={values}" for key, values in whole.hydra.sweeper.params.items()]
    assert swept
    check(parse(["-m", f"sweep={name}", *swept]))
