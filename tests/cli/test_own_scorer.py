"""A new scorer is one file and one yaml: here in a folder of the user's own, with nothing edited."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from prunelab.cli.arguments import parse

Command = Callable[..., Any]
CODE = """
from dataclasses import dataclass
from typing import ClassVar

import torch

from prunelab.core.meanings import Meaning


@dataclass(frozen=True)
class LengthOfName:
    means: ClassVar[Meaning] = Meaning("units in something", lambda unit: "." in unit.path)
    factor: float = 1.0

    def score(self, model, units):
        lengths = {unit.name: self.factor * len(unit.path) for unit in units}
        return {u.name: torch.full((u.elements,), lengths[u.name], dtype=torch.float64) for u in units}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The user's folder: a file, and a yaml that names its class."""
    folder = tmp_path / "my own scorers"
    (folder / "scorer").mkdir(parents=True)
    (folder / "length_of_name.py").write_text(CODE)
    (folder / "scorer" / "name_length.yaml").write_text(
        "_target_: length_of_name.LengthOfName\nfactor: 2.0\n"
    )
    return folder


def test_it_runs(command: Command, tiny: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    words = ("--config-dir", str(folder), "scorer=name_length")
    ended = command(*tiny, *words, store=tmp_path / "store")
    assert ended.rows()["pruned"]["scorer"] == "name_length"
    assert "<small>name_length · block · " in (ended.folder / "report.html").read_text("utf-8")
    (scored,) = (tmp_path / "store").glob("score-name_length-*")
    scores = load_file(scored / "scores.safetensors")
    for name, score in scores.items():
        path = name.removeprefix("denoiser/").removesuffix("#block")
        assert score.tolist() == [2.0 * len(path)]


def test_it_is_checked_like_any_other(command: Command, folder: Path, tmp_path: Path) -> None:
    for words, line in {
        "scorer=name_lenght": "did you mean 'name_length'? Choices: latent_shift, ",
        "scorer=name_length scorer.factr=1": "did you mean 'factor'?",
        "scorer=name_length scorer.factor=big": "scorer.factor=big is not a number",
        "scorer=name_length granularity=operator": "cannot score granularity=operator: it scores units in",
    }.items():
        ended = command("--config-dir", str(folder), *words.split(), "logger=none", store=tmp_path / "store")
        assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
        assert line in ended.err[0]


def test_what_is_no_scorer_is_refused(command: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "scorer" / "path.yaml").write_text("_target_: pathlib.PurePosixPath\n")
    (folder / "scorer" / "gone.yaml").write_text("_target_: length_of_name.Gone\n")
    for scorer, line in {
        "path": "scorer=path is a PurePosixPath without",
        "gone": "length_of_name.Gone",
    }.items():
        ended = command("-cd", str(folder), f"scorer={scorer}", "logger=none", store=tmp_path / "store")
        assert (ended.code, len(ended.err)) == (1, 1)
        assert line in ended.err[0]


def test_other_processes_look_in_the_same_folders(
    command: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[int, list[str]]] = []

    def launch(devices: int, arguments: list[str]) -> None:
        started.append((devices, arguments))

    monkeypatch.setattr("prunelab.engine.launch.launch", launch)
    output = tmp_path / "it's, an (odd) = folder"
    words = (
        "scorer=name_length",
        "devices=2",
        "trainer=ddp",
        f"hydra.run.dir='{str(output).replace(chr(39), chr(92) + chr(39))}'",
    )
    ended = command(f"--config-dir={folder}", *words, store=tmp_path / "store")
    ((devices, arguments),) = started
    assert (devices, arguments[:4]) == (2, ["-P", "-m", "prunelab", "run"])
    passed = {override.key_or_group: override.value() for override in parse(arguments[3:]).overrides}
    assert passed == {
        "scorer": "name_length",
        "devices": 2,
        "trainer": "ddp",
        "hydra.searchpath": [f"file://{folder}"],
        "hydra.run.dir": str(output),
    }
    assert ended.folder == output
