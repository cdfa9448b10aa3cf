"""Hydra's own switches do what Hydra's documentation says, and the job may stand anywhere among them."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import prunelab
from prunelab.cli import plugins
from prunelab.cli.arguments import JOBS, parse
from prunelab.cli.completion import of_jobs, without_job
from prunelab.cli.plugins import BEHIND, EXTRAS, installation
from prunelab.core.presets import conf_folder

Command = Callable[..., Any]

# What is printed on standard output for a switch: Hydra's abbreviations, and ours of both forms.
ANSWERS = {
    "-c job": ("sparsity: 0.3", "seed: ${seed}"),
    "--cfg job --resolve": ("sparsity: 0.3", "seed: 0"),
    "--package=scorer --cfg job scorer=taylor": ("# @package scorer", "prunelab.scorers.taylor.Taylor"),
    "-c hydra": ("hydra:", "hydra/launcher: basic"),
    "--hydra-help": ("--shell-completion", "hydra/launcher: "),
    "seed=1 --info=searchpath": ("Config search path",),
    "-sc install=bash": ("complete -o nospace", "hydra_bash_completion prunelab"),
    "-sc uninstall=fish": ("complete -e -c prunelab",),
    "sparsity=0.4 report --help": ("prunelab [JOB] key=value", "latent_shift"),
}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Hydra's answers set up logging for a process that ends after them."""
    root = logging.getLogger()
    handlers, level, disabled = [*root.handlers], root.level, logging.root.manager.disable
    yield
    root.handlers, root.level = handlers, level
    logging.disable(disabled)


@pytest.mark.parametrize("words", ANSWERS)
def test_a_switch_answers(command: Command, tmp_path: Path, words: str) -> None:
    ended = command(*words.split(), store=tmp_path / "store")
    assert (ended.code, ended.err) == (0, [])
    for piece in ANSWERS[words]:
        assert piece in "\n".join(ended.out)
    assert list(tmp_path.iterdir()) == []


def test_help_alone_is_what_hydra_prints_and_takes_no_hydra(command: Command, tmp_path: Path) -> None:
    """In a process of its own, which imports next to nothing."""
    code = (
        "import sys; from prunelab.start import main; main(); "
        "print(*{'hydra', 'omegaconf', 'numpy'} & {*sys.modules}, file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == command("--help", store=tmp_path / "store").out
    assert ended.stderr == "\n"


def test_the_version_is_ours(command: Command, tmp_path: Path) -> None:
    ended = command("--version", store=tmp_path / "store")
    assert (ended.code, ended.out) == (0, [f"prunelab {prunelab.__version__}"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("prunelab pl", {"plan"}),
        ("prunelab ", {*JOBS, "scorer=", "sparsity="}),
        ("prunelab plan scorer=wa", {"scorer=wanda"}),
        ("prunelab report recovery=fi", {"recovery=finetune"}),
        ("prunelab scorer=taylor scorer.thr", {"scorer.threshold="}),
    ],
)
def test_a_shell_completes(command: Command, tmp_path: Path, line: str, expected: set[str]) -> None:
    ended = command("-sc", "query=bash", store=tmp_path / "store", environment={"COMP_LINE": line})
    offered = set(" ".join(ended.out).split())
    assert (ended.code, ended.err) == (0, [])
    assert expected <= offered
    assert len(offered) == len(expected) or line == "prunelab "


def test_a_line_is_completed_without_its_job() -> None:
    assert without_job("prunelab plan scorer=wa") == "prunelab scorer=wa"
    assert without_job("prunelab plan ") == "prunelab "
    assert of_jobs("prunelab plan re") == []
    assert of_jobs("prunelab seed=1 rep") == ["report"]


@pytest.mark.parametrize("words", ["plan seed=1 -m", "seed=1 plan -m", "-m seed=1 plan", "seed=1 -m plan"])
def test_the_job_stands_anywhere(words: str) -> None:
    arguments = parse(words.split())
    assert (arguments.job, arguments.words, arguments.many) == ("plan", ["seed=1"], True)


def test_a_primary_configuration_of_ones_own(command: Command, tmp_path: Path) -> None:
    ours = f"hydra: {{searchpath: ['file://{conf_folder()}']}}"
    (tmp_path / "mine.yaml").write_text(f"defaults: [config, _self_]\nsparsity: 0.4\n{ours}\n")
    words = ("--config-path", str(tmp_path), "-cn", "mine", "--cfg=job", "scorer=random")
    ended = command(*words, store=tmp_path / "store")
    assert (ended.code, ended.err) == (0, [])
    assert "sparsity: 0.4" in ended.out


@pytest.mark.parametrize("kind", ["launcher", "sweeper"])
def test_a_configuration_of_a_plugin_that_is_not_installed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A file of ours may be there, as hydra/launcher=slurm is, and the package that it names not."""
    monkeypatch.setattr(plugins, "find_spec", lambda package: None)
    package, extra = {"launcher": ("submitit", "slurm"), "sweeper": ("optuna", "optuna")}[kind]
    target = f"hydra_plugins.hydra_{package}_{kind}.there.Class"
    ended = command("-m", "seed=0,1", f"hydra.{kind}._target_={target}", store=tmp_path / "store")
    assert (ended.code, ended.out) == (1, [])
    assert ended.err == [f"prunelab: hydra.{kind} is not installed, pip install 'prunelab[{extra}]'"]


def test_the_extras_of_plugins_exist() -> None:
    """What a refusal tells to install is an extra of this package."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for group, names in EXTRAS.items():
        for name, extra in names.items():
            assert f"\n{extra} = [" in text
            assert installation(group, name) == f"it is not installed, pip install 'prunelab[{extra}]'"
    assert {*BEHIND.values()} == {extra for names in EXTRAS.values() for extra in names.values()}
    assert installation("scorer", "optuna") is None
