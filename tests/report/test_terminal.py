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
    lines = printed(rows, 120).splitlines()
    models = [line for line in lines if line.startswith(("dense", "pruned"))]
    assert len(models) == 5
    assert models[4].split()[:3] == ["pruned", "random", "50"]
