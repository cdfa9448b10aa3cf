"""A job in processes of its own: what its parent says when one of them stops."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from prunelab.cli.relaunch import LAUNCHED, REFUSED, leave_word

Command = Callable[..., Any]
WORDS = ("devices=2", "trainer=ddp", "logger=none", "hydra.run.dir=here")


def stopping(reason: str | None, folder: Path) -> Callable[[int, Sequence[str]], bool]:
    """A launcher whose processes fail, having left word of the reason or not."""

    def launch(devices: int, arguments: Sequence[str]) -> bool:
        assert os.environ[LAUNCHED], "the processes know that another speaks for them"
        assert not (folder / REFUSED).exists(), "a note of an earlier run would be taken for theirs"
        if reason is not None:
            leave_word(folder, reason)
        return False

    return launch


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("scores are not finite", "scores are not finite"),
        (None, "a process of this job failed; its message is above"),
    ],
)
def test_the_reason_is_told_once(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str | None, line: str
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / REFUSED).write_text("an old reason")
    monkeypatch.setattr("prunelab.engine.launch.launch", stopping(reason, folder))
    ended = command(*WORDS, store=tmp_path / "store")
    assert (ended.code, ended.out, ended.err) == (1, [], [f"prunelab: {line}"])
    assert list(folder.iterdir()) == []
    assert LAUNCHED not in os.environ


def test_a_rank_leaves_word_and_is_silent(command: Command, tmp_path: Path) -> None:
    words = ("path=not/there", "logger=none", "hydra.run.dir=here")
    ended = command(*words, store=tmp_path / "store", environment={LAUNCHED: "1"})
    assert (ended.code, ended.out, ended.err) == (1, [], [])
    assert (tmp_path / "here" / REFUSED).read_text().startswith("no diffusers model at not/there")
