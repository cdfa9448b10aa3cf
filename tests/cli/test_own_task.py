"""A new task is one file and one yaml: the ones that docs/adding-a-task.md shows, with nothing edited."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

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


def colourfulness(picture: np.ndarray) -> float:
    """The published formula for one picture (height, width, 3), pixel by pixel."""
    rg = [float(r) - float(g) for r, g, _ in picture.reshape(-1, 3)]
    yb = [(float(r) + float(g)) / 2 - float(b) for r, g, b in picture.reshape(-1, 3)]
    deviation = np.hypot(np.std(rg, ddof=1), np.std(yb, ddof=1))
    return float(deviation + 0.3 * np.hypot(np.mean(rg), np.mean(yb)))


def test_it_runs(command: Command, tiny: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    words = ("--config-dir", str(folder), "task=free_drawing", "scorer=random")
    ended = command(*tiny, *words, store=tmp_path / "store")
    rows = ended.rows()
    assert {row["task"] for row in rows.values()} == {"free_drawing"}
    assert rows["dense"]["metrics"].keys() == {"frechet_distance", "output_distance", "colourfulness"}
    assert ">Colourfulness</th>" in (ended.folder / "report.html").read_text("utf-8"), "as the metric says"
    drawn = [load_file(file) for file in (tmp_path / "store").glob("sample-*/samples.safetensors")]
    expected = [
        np.mean([colourfulness(picture.permute(1, 2, 0).numpy()) for picture in each["media"].flatten(0, 1)])
        for each in drawn
    ]
    found = [row["metrics"]["colourfulness"]["value"] for row in rows.values()]
    assert sorted(found) == pytest.approx(sorted(expected), rel=1e-4)
    report = json.loads((ended.folder / "report.json").read_text())
    assert {caption for entry in report["pictures"] for caption in entry["captions"]} == {""}


def test_it_is_checked_like_any_other(command: Command, folder: Path, tmp_path: Path) -> None:
    for words, line in {
        "task=free_drawin": "did you mean 'free_drawing'?",
        "task=free_drawing task.labls=[]": "did you mean 'labels'?",
        "task=free_drawing evaluation.real=9999": "asks for 9999 held-out examples",
    }.items():
        ended = command("--config-dir", str(folder), *words.split(), "logger=none", store=tmp_path / "store")
        assert (ended.code, ended.out, len(ended.err)) == (1, [], 1)
        assert line in ended.err[0]
