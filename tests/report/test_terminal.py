"""The table fits a terminal and says what the page says."""

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console

from prunelab.report import terminal_table


def printed(rows: list[dict[str, Any]], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_table(rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_one_run_fits_eighty_columns(rows: list[dict[str, Any]]) -> None:
    text = printed(rows, 80)
    assert "…" not in text
    for word in ("dense", "pruned", "recovered", "80.0 [78.0, 82.0]", "2.00x faster", "no speed-up"):
        assert word in text


def test_a_sweep_has_a_line_per_model(row: Callable[..., dict[str, Any]]) -> None:
    rows = [
        row("dense"),
        *(row("pruned", scorer, s) for scorer in ("magnitude", "random") for s in (0.1, 0.5)),
    ]
    lines = [line for line in printed(rows, 120).splitlines() if " pruned " in line]
    assert len(lines) == 4
    assert lines[3].split()[:6] == ["random", "·", "50", "%", "of", "parameters"]


def test_a_sweep_cuts_no_number_at_eighty_columns(row: Callable[..., dict[str, Any]]) -> None:
    made = [
        row(state, scorer, sparsity, seed)
        for scorer in ("learned_gates", "magnitude")
        for sparsity in (0.1, 0.5)
        for state in ("pruned", "recovered", "scratch")
        for seed in (0, 5)
    ]
    for one in made:
        one["granularity"] = "weight" if one["scorer"] == "magnitude" else ["head", "neuron"]
        one["metrics"]["prompt_accuracy"]["value"] -= one["seed"] / 50
        one["metrics"]["frechet_distance"]["value"] *= 100
        one["quantities"]["ssim"] = {"title": "SSIM to dense", "better": "higher"}
        one["metrics"]["ssim"] = {"value": 0.5 + one["seed"] / 1000, "low": 0.1, "high": 0.9, "n": 5}
        one["metrics"]["another"] = {"value": 0.5, "low": 0.1, "high": 0.9, "n": 5}
    text = printed([row("dense"), *made], 80)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    blocks = [line for line in text.splitlines() if " scratch " in line]
    assert len(blocks) == 4
    for line, distance in zip(blocks, ("6,250", "10,250", "6,250", "10,250"), strict=True):
        assert line.endswith(f"{distance} ±250 85.0% ±5.0 0.502 ±0.003")
