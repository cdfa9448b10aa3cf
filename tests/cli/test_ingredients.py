"""What a stored report is found by: each thing that decides it counts, and what is not seen has no key."""

import contextlib
import copy
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from prunelab.cli import ingredients, provenance
from prunelab.cli.arguments import parse
from prunelab.cli.checking import check
from prunelab.core.presets import embedded


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Callable[..., DictConfig]]:
    """The configuration of a command as its job is given it."""
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text("{}")

    def compose(*words: str) -> DictConfig:
        (checked,) = check(parse([*words]))
        sys.argv = ["prunelab", *parse([*words]).as_run(words)]
        config = copy.deepcopy(checked)  # which is remembered
        HydraConfig.instance().set_config(config)
        OmegaConf.set_readonly(HydraConfig.instance().cfg.hydra, False)
        with open_dict(config):
            del config["hydra"]
        return config

    with mock.patch.object(sys, "argv", ["prunelab"]), contextlib.chdir(tmp_path):
        yield compose
    HydraConfig.instance().cfg = None


GIVEN = ("logger=none", "path=model", "scorer=magnitude")


def test_the_key_is_that_of_all_that_decides(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    config = composed(*GIVEN)
    before = ingredients.key(config)
    assert before == ingredients.key(composed(*GIVEN))
    index, package = tmp_path / "model" / "model_index.json", tmp_path / "package"
    (package / "scorers").mkdir(parents=True)
    (package / "scorers" / "one.py").write_text("1")
    installed = tmp_path / "site" / "torch-1.0.dist-info"
    installed.mkdir(parents=True)

    def rewritten() -> None:
        """Of the same size, with the times that it had."""
        status = index.stat()
        index.write_text("[]")
        os.utime(index, ns=(status.st_atime_ns, status.st_mtime_ns))

    changes: list[Any] = [
        mock.patch.dict(os.environ, OMP_NUM_THREADS="7"),
        mock.patch.object(ingredients, "processor", return_value="another"),
        mock.patch.object(provenance, "commit", return_value="another"),
        mock.patch.object(sys, "argv", [*sys.argv, "quiet=false"]),
    ]
    keys = [before]
    for change in changes:
        with change:
            keys.append(ingredients.key(config))
    for name, value in {"seed": 1, "precision": "bf16-mixed", "keep": "copy", "scorer": {"p": 2}}.items():
        keys.append(ingredients.key(OmegaConf.merge(config, {name: value})))
    with open_dict(HydraConfig.get()), mock.patch.dict(HydraConfig.get().runtime.choices, experiment="one"):
        keys.append(ingredients.key(config))
    with mock.patch.object(ingredients, "PACKAGE", package):
        keys.append(ingredients.key(config))
        (package / "scorers" / "one.py").write_text("2")
        keys.append(ingredients.key(config))
    with mock.patch.object(sys, "path", [*sys.path, str(installed.parent)]):
        keys.append(ingredients.key(config))
        installed.rename(installed.with_name("torch-1.1.dist-info"))
        keys.append(ingredients.key(config))
    rewritten()
    keys.append(ingredients.key(config))
    (tmp_path / "model" / "unet").mkdir()
    (tmp_path / "model" / "unet" / "config.json").write_text("{}")
    keys.append(ingredients.key(config))
    assert None not in keys
    assert len({*keys}) == len(keys)


@pytest.mark.parametrize(
    "words",
    [
        "logger=csv",
        "verbose=true",
        "until=prune",
        "trainer=gpu",
        "trainer=ddp",
        "devices=2",
        "scorer._target_=mine.Largest",
        "judge=clip task=t2i_clip",
        "data=parquet data.path=nobody/knows",
    ],
)
def test_what_is_not_seen_from_here_has_no_key(composed: Callable[..., DictConfig], words: str) -> None:
    (Path.cwd() / "mine.py").write_text("class Largest:\n    pass\n")
    with mock.patch.object(sys, "path", [*sys.path, str(Path.cwd())]):
        assert ingredients.key(composed("logger=none", *words.split())) is None


def test_jobs_of_a_sweep_have_records_of_their_own(composed: Callable[..., DictConfig]) -> None:
    config = composed(*GIVEN)
    HydraConfig.get().mode = RunMode.MULTIRUN
    assert ingredients.key(config) is None


@pytest.mark.parametrize("variable", [{"RANK": "0", "WORLD_SIZE": "1"}, {"SLURM_JOB_ID": "7"}])
def test_of_ranks_and_of_a_schedulers_job_nothing_is_known(
    composed: Callable[..., DictConfig], variable: dict[str, str]
) -> None:
    config = composed(*GIVEN)
    with mock.patch.dict(os.environ, variable):
        assert ingredients.key(config) is None
