"""A task, a metric, a preview and a budget of one's own: a file each, chosen by a yaml, shown in the report.

One run for all of them, upon the task of docs/adding-a-task.md: each is found where it belongs.
"""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence
from safetensors.torch import load_file

Command = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "adding-a-task.md"
SHOWN = re.compile(r'^```\w+ title="mine/([^"\n]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
FILES = {
    "brightness.py": """
from dataclasses import dataclass
from typing import ClassVar

from prunelab.core.quantities import Quantity
from prunelab.metrics.intervals import bootstrap


@dataclass(frozen=True)
class Brightness:
    name: str = "brightness"
    quantity: ClassVar[Quantity] = Quantity("Mean brightness", "higher", "of all pixels", percent=True)

    def __call__(self, generated, reference):
        return bootstrap(generated.media.flatten(2).double().mean(2) / 255, reference.prompts)
""",
    "turning.py": '''
import io

from PIL import Image

from prunelab.core.previews import Preview
from prunelab.previews.picture import pictures
from free_drawing import FreeDrawing


class Turning(FreeDrawing):
    """Pictures that turn round: what a film is, without a codec."""

    def preview(self, state, media, captions):
        stills = pictures(state, "", media.permute(0, 2, 3, 1).numpy(), captions).stills
        films = [self.film(Image.open(io.BytesIO(still))) for still in stills]
        return Preview(state, "", captions, stills, films, "image/gif", "films", "Same prompts, turning")

    def film(self, image):
        file = io.BytesIO()
        turned = [image.rotate(angle) for angle in (90, 180, 270)]
        image.save(file, "gif", save_all=True, append_images=turned, loop=0)
        return file.getvalue()
''',
    "firsts.py": '''
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Firsts:
    """The first element of every unit that has several goes, whatever its score."""

    of: str = "elements"

    def plan(self, scores, units, ledger, sparsity):
        return {unit.name: torch.arange(unit.elements) > 0 for unit in units}
''',
    "task/turning.yaml": """# @package _global_
defaults: [free_drawing]
task:
  _target_: turning.Turning
  metrics:
    - _target_: prunelab.metrics.output_distance.OutputDistance
    - _target_: free_drawing.Colourfulness
    - _target_: brightness.Brightness
""",
    "budget/firsts.yaml": "_target_: firsts.Firsts\n",
}


@pytest.fixture(scope="module")
def ended(command: Command, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run with all of them."""
    place = tmp_path_factory.mktemp("own")
    for name, text in [*SHOWN.findall(PAGE.read_text("utf-8")), *FILES.items()]:
        (place / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "mine" / name).write_text(text, encoding="utf-8")
    words = ("task=turning", "budget=firsts", "scorer=magnitude", "granularity=head", "sparsity=0.1")
    return command(*tiny, "--config-dir", str(place / "mine"), *words, store=place / "store")


def colourfulness(picture: np.ndarray) -> float:
    """The published formula for one picture (height, width, 3), pixel by pixel."""
    rg = [float(r) - float(g) for r, g, _ in picture.reshape(-1, 3)]
    yb = [(float(r) + float(g)) / 2 - float(b) for r, g, b in picture.reshape(-1, 3)]
    deviation = np.hypot(np.std(rg, ddof=1), np.std(yb, ddof=1))
    return float(deviation + 0.3 * np.hypot(np.mean(rg), np.mean(yb)))


def test_the_task_of_the_page_is_measured_as_it_says(ended: Any) -> None:
    rows = ended.rows()
    assert {row["task"] for row in rows.values()} == {"turning"}
    assert rows["dense"]["metrics"].keys() == {"output_distance", "colourfulness", "brightness"}
    drawn = [load_file(file) for file in ended.folder.parents[2].glob("store/sample-*/samples.safetensors")]
    expected = [
        np.mean([colourfulness(picture.permute(1, 2, 0).numpy()) for picture in each["media"].flatten(0, 1)])
        for each in drawn
    ]
    found = [row["metrics"]["colourfulness"]["value"] for row in rows.values()]
    assert sorted(found) == pytest.approx(sorted(expected), rel=1e-4)
    assert ">Colourfulness</th>" in (ended.folder / "report.html").read_text("utf-8")
    report = json.loads((ended.folder / "report.json").read_text())
    assert {caption for entry in report["previews"] for caption in entry["captions"]} == {""}


def test_a_metric_is_shown_as_it_says(ended: Any) -> None:
    rows, page = ended.rows(), (ended.folder / "report.html").read_text("utf-8")
    estimate = rows["pruned"]["metrics"]["brightness"]
    assert 0 < estimate["low"] < estimate["value"] < estimate["high"] < 1
    assert re.search(r'title="of all pixels">Mean brightness.↑</th>', page)
    assert f"<span>{100 * estimate['value']:.1f} % <small>" in page
    (shown,) = (line for line in ended.err if line.startswith("Mean brightness"))
    assert shown.count("%") == 2, "the dense and the pruned model's on the screen"


def test_a_preview_of_another_medium_is_shown_and_kept(ended: Any) -> None:
    report = json.loads((ended.folder / "report.json").read_text())
    assert report["pictures"] == report["sounds"] == []
    page = (ended.folder / "report.html").read_text("utf-8")
    assert page.count("<h3>Same prompts, turning</h3>") == 1
    for entry in report["previews"]:
        for still, film in zip(entry["stills"], entry["files"], strict=True):
            content = (ended.folder / film).read_bytes()
            assert f'<img src="data:image/gif;base64,{base64.b64encode(content).decode()}"' in page
            assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(content))))) == 4
            assert Image.open(ended.folder / still).size == (32, 32)
    assert [entry["state"] for entry in report["previews"]] == ["dense", "pruned"]


def test_a_budget_is_followed_and_named(ended: Any) -> None:
    row = ended.rows()["pruned"]
    assert row["budget"] == "firsts"
    assert 0 < row["sparsity"]["elements"] < 1
    assert ">magnitude · head · firsts" in (ended.folder / "report.html").read_text("utf-8")
