"""What is refused of a new task: the one of docs/adding-a-task.md, which test_own_parts.py runs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-task.md"
FILE = re.compile(r'^```\w+ title="([^"\n]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
Command = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's files."""
    for name, text in FILE.findall(PAGE.read_text("utf-8")):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return tmp_path / "mine"


def test_it_is_checked_like_any_other(command: Command, folder: Path, tmp_path: Path) -> None:
    for words, line in {
        "task=free_drawin": "did you mean 'free_drawing'?",
        "task=free_drawing task.labls=[]": "did you mean 'labels'?",
        "task=free_drawing evaluation.real=9999": "asks for 9999 held-out examples",
    }.items():
        ended = command("--config-dir", str(folder), *words.split(), "logger=none", store=tmp_path / "store")
        assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
        assert line in ended.err[0]
