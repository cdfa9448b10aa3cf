"""Folders of configurations as users may give them: none of them hangs, or ends in a traceback."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from omegaconf import OmegaConf

from prunelab.cli import checking
from prunelab.cli.arguments import parse
from prunelab.core.presets import embedded

Command = Callable[..., Any]


def fifo(file: Path) -> None:
    os.mkfifo(file)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def folder(file: Path) -> None:
    file.mkdir()


def latin(file: Path) -> None:
    file.write_bytes(b"_target_: caf\xe9\n")


def broken(file: Path) -> None:
    file.write_text("a: [1\n")


def tag(file: Path) -> None:
    file.write_text("!!python/object/apply:os.getcwd []\n")


def listed(file: Path) -> None:
    file.write_text("- 1\n- 2\n")


def dangling(file: Path) -> None:
    file.symlink_to("nowhere")


def huge(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(2**21)


KINDS = [fifo, device, folder, latin, broken, tag, listed, dangling, huge]


@pytest.mark.parametrize("make", KINDS)
def test_what_is_no_configuration(command: Command, tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "scorer").mkdir()
    make(tmp_path / "scorer" / "mine.yaml")
    words = ("--config-dir", str(tmp_path), "scorer=mine", "logger=none")
    ended = command(*words, store=tmp_path / "store")
    assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
    assert "scorer" in ended.err[0]


def test_settings_of_classes_of_ones_own_are_checked_without_importing_them(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "scorer").mkdir()
    (tmp_path / "own.py").write_text("""
from dataclasses import dataclass
from typing import Literal
from prunelab.core.settings import Count, Runtime
raise AssertionError("imported")

@dataclass
class Base:
    times: Count = 1

@dataclass
class Mine(Base):
    needed: float
    kind: Literal["a", "b"] = "a"
    speed: Runtime[Count] = 3
    pair: tuple[int, ...] = (1, 2)
""")
    for text, line in {
        "times: 0\nneeded: 1.0": "scorer.times=0 is too small: at least 1",
        "times: 1": "scorer.needed is missing",
        "needed: big": "scorer.needed=big is not a number",
        "needed: 1\nkind: c": "scorer.kind=c is unknown: choose from a, b",
        "needed: 1\nspeed: 0": "scorer.speed=0 is too small",
        "needed: 1\npair: [a]": "scorer.pair.0=a is not a whole number",
        "needed: 1\nother: 1": "unknown key 'scorer.other'",
        "needed: ???": "scorer.needed is missing",
    }.items():
        place = tmp_path / str(abs(hash(text)))
        (place / "scorer").mkdir(parents=True)
        (place / "own.py").write_text((tmp_path / "own.py").read_text())
        (place / "scorer" / "mine.yaml").write_text(f"_target_: own.Mine\n{text}\n")
        ended = command("--config-dir", str(place), "scorer=mine", store=tmp_path / "store")
        assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
        assert line in ended.err[0]


def test_a_user_without_a_home(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    ended = command("store='~/store'", store=tmp_path / "store")
    assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
    assert "store=~/store cannot be a folder" in ended.err[0]


def test_a_file_is_parsed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one reader does to it, no other sees."""
    from omegaconf import OmegaConf

    from prunelab.cli.reading import FileConfigSource

    parsed: list[Path] = []
    load = OmegaConf.load
    monkeypatch.setattr(OmegaConf, "load", lambda file: (parsed.append(file), load(file))[1])
    source = FileConfigSource("test", f"file://{tmp_path}")
    (tmp_path / "one.yaml").write_text("size: 1\n")
    source.load_config("one").config.size = 2
    assert source.load_config("one").config.size == 1
    assert len(parsed) == 1
    (tmp_path / "one.yaml").write_text("size: 300\n")
    assert source.load_config("one").config.size == 300
    assert len(parsed) == 2


def test_looking_at_groups_copies_no_schemas() -> None:
    import copy

    from hydra._internal.sources_registry import SourcesRegistry

    from prunelab.cli.reading import read_carefully

    read_carefully()
    source = SourcesRegistry.instance().resolve("structured")("test", "structured://")
    assert copy.deepcopy(source) is source
    first, second = (source.load_config("hydra/config").config for _ in range(2))
    assert first == second
    assert first is not second


def test_a_command_that_sets_no_keys_is_composed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes most of the time before the first line on the screen."""
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    monkeypatch.chdir(tmp_path)
    checking._composed.cache_clear()
    for words, times in ((["scorer=taylor"], 1), (["scorer=wanda", "sparsity=0.2"], 2)):
        composed = mock.Mock(wraps=checking.compose)
        with mock.patch.object(checking, "compose", composed):
            checking.check(parse(words))
        assert composed.call_count == times
