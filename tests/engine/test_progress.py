"""Progress on standard error: a line now and then where nothing can move."""

import pytest

from prunelab.engine.progress import LINES, Bar


def lines(capsys: pytest.CaptureFixture[str], total: int, moves: list[int]) -> list[str]:
    bar = Bar("score", total)
    for done in moves:
        bar.move(done)
    bar.close()
    shown = capsys.readouterr()
    assert shown.out == "", "standard output belongs to the answer"
    return shown.err.splitlines()


def test_a_long_run_prints_a_line_at_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, 200, list(range(1, 201)))
    assert len(shown) == LINES
    assert shown[0].startswith("score: 20/200, ")
    assert shown[-1].startswith("score: 200/200, ")


def test_a_short_run_prints_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(lines(capsys, 3, [1, 2, 3])) == 3


def test_a_resumed_run_says_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split(",")[0] for line in lines(capsys, 10, [9, 10])] == ["score: 9/10", "score: 10/10"]
