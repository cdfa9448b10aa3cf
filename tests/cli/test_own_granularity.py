"""The granularity of docs/adding-a-granularity.md: scorers, budgets, surgery and the report take it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunelab.core.errors import Refusal
from prunelab.walkers.granularity import Granularity
from prunelab.walkers.neurons import neurons
from prunelab.walkers.walk import add

Command = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "adding-a-granularity.md"
SHOWN = re.compile(r'^```\w+ title="mine/([^"\n]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def test_it_is_one_file_and_one_choice(command: Command, tiny: tuple[str, ...], tmp_path: Path) -> None:
    for name, text in SHOWN.findall(PAGE.read_text("utf-8")):
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    few = ("scorer.samples=2", "scorer.threshold=null", "scorer.stride=500", "scorer.batch_size=2")
    chosen = ("--config-dir", str(tmp_path / "mine"), "scorer=taylor", *few, "granularity=[head,pair]")
    ended = command(
        *tiny, *chosen, "budget=per_granularity", "sparsity={head:0.3,pair:0.25}", store=tmp_path / "store"
    )
    row = ended.rows()["pruned"]
    assert row["granularity"] == "head+pair"
    structure = json.loads((ended.folder / "models" / "pruned" / "unet" / "config.json").read_text())
    assert "pair" not in json.dumps(structure), "the saved model opens without the walker"
    assert ">taylor · head+pair ·" in (ended.folder / "report.html").read_text("utf-8")


def test_a_name_of_ours_is_taken() -> None:
    with pytest.raises(Refusal, match="prunelab has a granularity called 'head'"):
        add(Granularity("head", neurons))
