"""Experiments that bear a paper's name do what the paper does: compositions against straight-line code."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from prunelab.core.presets import conf_folder, embedded
from prunelab.core.sparsity import Sparsity
from prunelab.core.units import Gate, Unit
from prunelab.models.pipeline import PipelineModel


def composed(*words: str) -> DictConfig:
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    with initialize_config_dir(str(conf_folder()), version_base=None):
        return compose("config", overrides=list(words), return_hydra_config=True)


def part(config: DictConfig, group: str) -> Any:
    return instantiate(OmegaConf.to_container(config[group], resolve=True), _convert_="all")


def operator(name: str) -> Unit:
    return Unit("denoiser", name, "operator", 1, (), Gate(name, "output"), name)


# What ten operators score and how many parameters they hold: the small ones, as norms are, score lowest.
TEN = {"a": (0.5, 900), "b": (0.1, 10), "c": (0.2, 10), "d": (4.0, 9000), "e": (0.3, 20)}
TEN |= {"f": (0.6, 400), "g": (0.05, 10), "h": (2.0, 100), "i": (0.7, 2000), "j": (0.4, 10)}
OPERATORS = [operator(name) for name in TEN]


class Held:
    """A ledger: what the operators hold in the currency of the budget."""

    def __init__(self, of: str) -> None:
        self.of = of

    def cost(self, unit: Unit) -> float:
        return TEN[unit.path][1] if self.of == "parameters" else 1.0

    def total(self, component: str) -> float:
        return float(sum(self.cost(unit) for unit in OPERATORS))


def gone(words: tuple[str, ...], sparsity: float) -> set[str]:
    budget = part(composed(*words), "budget")
    scores = {unit.name: torch.tensor([TEN[unit.path][0]], dtype=torch.float64) for unit in OPERATORS}
    plan = budget.plan(scores, OPERATORS, Held(budget.of), Sparsity(sparsity))
    return {unit.path for unit in OPERATORS if not plan[unit.name].item()}


@pytest.mark.parametrize("scorer", ["latent_shift", "random", "magnitude"])
def test_ld_pruner_and_its_controls_remove_the_k_lowest_scores(scorer: str) -> None:
    """Castells et al.: the k operators of the lowest score, whatever they cost."""
    words = ("experiment=ld_pruner", f"scorer={scorer}")
    order = sorted(TEN, key=lambda name: TEN[name][0])
    for k in range(10):
        assert gone(words, k / 10) == set(order[:k])


@pytest.mark.parametrize("scorer", ["latent_shift", "random", "magnitude"])
def test_the_ranking_per_parameter_is_another_experiment(scorer: str) -> None:
    """Score over parameters, lowest first, until 30 % of the parameters are gone (to the nearest element)."""
    order = sorted(TEN, key=lambda name: TEN[name][0] / TEN[name][1])
    total, spent, expected = sum(held for _, held in TEN.values()), 0.0, set[str]()
    for name in order:  # i, d, a, f, ...: d would overshoot, a and f fit nothing closer
        if spent + TEN[name][1] <= 0.2 * total:
            expected.add(name)
            spent += TEN[name][1]
        else:
            break
    assert expected == {"i"}
    assert gone(("experiment=latent_shift_per_parameter", f"scorer={scorer}"), 0.2) == expected


def test_ld_pruners_operators_have_norms_among_them() -> None:
    config = composed("experiment=ld_pruner")
    model = instantiate(config.model.open)
    kinds = {
        type(model.components["denoiser"].get_submodule(unit.path)).__name__
        for unit in model.units(list(config.granularity), ["denoiser"], bypasses=True)
    }
    assert {"Conv2d", "Attention", "GroupNorm", "LayerNorm"} <= kinds


PUBLISHED = {"ddpm_cifar10": 35.7, "ddpm_celeba64": 78.7, "ddpm_lsun256": 113.7}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_models_of_diff_pruning_have_their_published_sizes(name: str) -> None:
    """In millions of parameters, to the digit that is printed."""
    architecture = composed(f"model={name}").model.open.architecture
    unet = PipelineModel.open(name, architecture=architecture, shapes=True).components["denoiser"]
    assert round(sum(each.numel() for each in unet.parameters()) / 1e6, 1) == PUBLISHED[name]


# docs/papers.md: each section compares one experiment with its paper, line by line.
PAGE = (Path(__file__).parents[1] / "docs" / "papers.md").read_text("utf-8")
SECTIONS = re.findall(r"^## [^\n]*`experiment=(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
OURS = {"demo", "latent_shift_per_parameter"}
SETTING = re.compile(r"`([a-z_.]+)=([^`]+)`")


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[1:]]


def test_every_experiment_is_compared_or_called_ours() -> None:
    names = {file.stem for file in (conf_folder() / "experiment").glob("*.yaml")}
    assert {name for name, _ in SECTIONS} | OURS | {"ecodiff_4step"} == names
    assert all(f"`experiment={name}`" in PAGE for name in names)


@pytest.mark.parametrize(("name", "section"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_no_line_is_different_without_a_reason(name: str, section: str) -> None:
    assert rows(section)
    for line, _, here, verdict in rows(section):
        kind, _, reason = verdict.partition(":")
        assert kind.startswith(("the same", "different", "not said", "not here")), line
        assert kind != "different" or len(reason.split()) > 2, line
        assert here or kind == "not here", line


@pytest.mark.parametrize(("name", "section"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_the_settings_of_the_table_are_the_experiments(name: str, section: str) -> None:
    """Those in code, KEY=VALUE, in the first words of a cell; alternatives stand after a semicolon."""
    config = composed(f"experiment={name}")
    choices = config.hydra.runtime.choices
    for line, _, here, _ in rows(section):
        for key, value in SETTING.findall(here.partition(";")[0]):
            if " " in value and not value.startswith("{"):  # a command line, not a setting
                continue
            found = choices[key] if key in choices else OmegaConf.select(config, key)
            plain = OmegaConf.to_container(found) if OmegaConf.is_config(found) else found
            if key == "granularity" and isinstance(plain, dict):  # several, each under its name
                plain = list(plain)
            # YAML 1.1 reads 6e-4 as a text
            said = float(value) if isinstance(plain, float) else yaml.safe_load(value)
            assert plain == said, f"{line}: {key}"
