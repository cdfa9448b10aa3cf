"""Progress on standard error: a line now and then where nothing can move."""

import pytest

from prunelab.core.screen import SCREEN
from prunelab.engine import progress
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


def test_a_line_says_the_time_left_and_the_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten seconds a step: the rest is the rest of the steps, also where a stage resumes at its last ones."""
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(SCREEN, "total", 5)
    monkeypatch.setattr(SCREEN, "begun", {"score-1", "prune-2"})
    shown = lines(capsys, 20, [16, 17, 18, 19, 20])
    assert shown == [
        "score: 16/20, 10 s, stage 2 of 5",
        "score: 18/20, 30 s, 20 s left, stage 2 of 5",
        "score: 20/20, 50 s, stage 2 of 5",
    ]


def test_a_quiet_screen_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SCREEN, "quiet", True)
    assert lines(capsys, 3, [1, 2, 3]) == []


def test_a_verbose_screen_shows_every_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SCREEN, "verbose", True)
    assert len(lines(capsys, 200, list(range(1, 201)))) == 200


def test_a_terminal_shows_the_stages_above_the_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(SCREEN, "total", 5)
    monkeypatch.setattr(SCREEN, "begun", {"score-1", "prune-2"})
    bar = Bar("score", 20)
    assert bar.progress is not None
    bar.move(16)
    assert [(each.description, each.completed, each.total) for each in bar.progress.tasks] == [
        ("stages", 1, 5),
        ("score", 16, 20),
    ]
    bar.close()
    assert [each.description for each in bar.progress.tasks] == ["score"]
    assert "score" in capsys.readouterr().err
