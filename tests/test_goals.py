"""The table that the benchmarks end with: goals reached, or by how much not, and scripts that end badly."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "goals.py"


@pytest.fixture(scope="module")
def goals() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize(
    ("values", "goal", "said"),
    [
        ([0.9, 1.2, 1.1], {"least": 1.0}, "reached"),
        ([0.9, 1.0, 1.1], {"least": 1.0}, "reached"),
        ([0.5, 0.9, 1.1], {"least": 1.0}, "not reached, by 0.10 (10%)"),
        ([4.0, 6.0, 9.0], {"most": 5.0}, "not reached, by 1.00 (20%)"),
        ([4.0, 5.0, 9.0], {"most": 5.0}, "reached"),
        ([4.0], {}, ""),
    ],
)
def test_the_median_is_held_against_the_goal(
    goals: dict[str, Any], values: list[float], goal: dict[str, float], said: str
) -> None:
    row = goals["Row"]("a row", values, **goal)
    assert row.outcome == said
    assert row.line().startswith("a row")
    assert row.line().endswith(said or f"[{min(values):.2f}, {max(values):.2f}]")


def test_rows_of_all_scripts_come_into_one_table(
    goals: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One script notes two rows, the other one and ends badly: all are shown, and the exit code says so."""
    body = "import sys; from goals import noted; noted('of ' + sys.argv[1], [2.0, 3.0, 4.0], least=2.5)\n"
    (tmp_path / "goals.py").write_bytes(SCRIPT.read_bytes())
    (tmp_path / "good.py").write_text(
        body + "noted('another', [1.0], most=0.5, unit=' s')\n", encoding="utf-8"
    )
    (tmp_path / "bad.py").write_text(body + "sys.exit(3)\n", encoding="utf-8")
    monkeypatch.setitem(goals["main"].__globals__, "__file__", str(tmp_path / "goals.py"))
    monkeypatch.setattr(sys, "argv", ["goals.py", "good.py 'two words'", "bad.py none"])
    assert goals["main"]() == 1
    table = capsys.readouterr().out.split("wanted\n")[1].splitlines()
    assert [" ".join(line.split()) for line in table] == [
        "of two words 3.00 [2.00, 4.00] >= 2.50 reached",
        "another 1.00 s [1.00, 1.00] <= 0.50 not reached, by 0.50 s (100%)",
        "of none 3.00 [2.00, 4.00] >= 2.50 reached",
        "bad.py ended badly: see above",
    ]


def test_without_a_gpu_its_rows_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.syspath_prepend(SCRIPT.parent)
    rows = runpy.run_path(str(SCRIPT.with_name("gpu.py")), run_name="__main__")["ROWS"]
    assert [f"{name}: not run: no GPU" for name in rows] == capsys.readouterr().out.splitlines()[1:]
