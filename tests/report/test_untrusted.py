"""Reports from elsewhere: whatever a file holds is one line that names it, and what is quoted stays words."""

import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from prunelab.core.errors import Refusal
from prunelab.core.previews import Preview
from prunelab.core.waveforms import to_wav
from prunelab.previews.picture import pictures
from prunelab.report import beside, combine, read_report, terminal_table, write_combined, write_report
from prunelab.report.curves import Curve, Line, svg
from prunelab.report.page import render
from prunelab.report.schema import SCHEMA
from prunelab.report.summary import markdown, over_seeds

MakeRow = Callable[..., dict[str, Any]]
JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    float("nan"),
    1e300,
    "",
    "<b>|\n",
    [],
    {},
    [[None]],
    {"a": 1},
)
HOSTILE = "a|b\n`c` [d](e) <script>f</script> [red]g[/red] *h* $i$ \x1b[2J"
ENTRY = {"state": "dense", "label": ""}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a report, containers and all."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, key))


def with_junk(report: Any, path: tuple[Any, ...], junk: Any) -> Any:
    changed = deepcopy(report)
    node = changed
    for key in path[:-1]:
        node = node[key]
    if junk is Ellipsis:
        del node[path[-1]]
    else:
        node[path[-1]] = junk
    return changed


def test_junk_anywhere_is_one_line_or_can_be_shown(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    strip = {**ENTRY, "file": "pictures/0.png", "captions": ["a"]}
    film = {**ENTRY, "medium": "films", "heading": "h", "kind": "video/mp4", "captions": ["a"]}
    film |= {"stills": ["films/0.png"], "files": ["films/0.mp4"]}
    whole = {"schema": SCHEMA, "rows": rows[:2], "pictures": [strip], "previews": [film]}
    whole |= {"curves": [], "context": {}}
    refused, shown = 0, 0
    for path in leaves(whole):
        if path[:2] == ("rows", 0):  # a row is as good as another
            continue
        for junk in (*JUNK, ...):
            (tmp_path / "report.json").write_text(json.dumps(with_junk(whole, path, junk)))
            found, line = read(tmp_path / "report.json")
            refused, shown = refused + (not found), shown + bool(found)
            assert len(line.splitlines()) == (not found)
            assert len(line) < 400
            if found:
                markdown(over_seeds(found))
                Console(file=io.StringIO()).print(terminal_table(found))
    assert refused > shown > 0


def read(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The rows of a report, or the line that says why there are none."""
    try:
        return read_report(path)["rows"], ""
    except ValueError as error:
        return [], str(error)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff", b"no JSON", b"3", b'"schema"', b"[" * 100_000),
        *(b'{"schema": 1}', b'{"schema": 1, "rows": []}', b'{"schema": 1, "rows": 3}'),
        *(b'{"schema": 1, "rows": [[]]}', b'{"schema": 1, "rows": [{"a": NaN}]}', b'{"schema": 9}'),
    ],
)
def test_junk_beside_a_report(
    tmp_path: Path, rows: list[dict[str, Any]], content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named on one line; the others are combined, unless it says that it has another schema."""
    good = write_report(tmp_path / "good", rows, [], [], {}).parent
    (tmp_path / "report.json").write_bytes(content)
    refusals = []
    try:
        assert len(combine([good, tmp_path])) == len(rows)
    except Refusal as refusal:
        refusals = [str(refusal)]
    (line,) = [*refusals, *capsys.readouterr().err.splitlines()]
    assert str(tmp_path / "report.json") in line
    assert bool(refusals) == ("reads schema 1" in line)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.json")
    (tmp_path / "pictures").mkdir()
    os.mkfifo(tmp_path / "pictures" / "0.png")
    with pytest.raises(Refusal, match="nothing to combine"):
        write_combined(tmp_path / "sweep", [tmp_path])
    with pytest.raises(Refusal, match="cannot be read as a picture"):
        beside.read(tmp_path, {"pictures": [{**ENTRY, "file": "pictures/0.png", "captions": ["a"]}]})


def bomb(side: int) -> bytes:
    """A PNG file of a few bytes that claims ``side`` x ``side`` pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content", [bomb(9_500), bomb(10_000), bomb(60_000), b"%!PS-Adobe", b""])
@pytest.mark.filterwarnings("error")
def test_pictures_that_claim_too_much_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").write_bytes(content)
    with pytest.raises(Refusal, match="cannot be read as a picture"):
        beside.read(tmp_path, {"pictures": [{**ENTRY, "file": "pictures/0.png", "captions": ["a"]}]})


def test_a_strip_of_another_number_of_pictures(
    tmp_path: Path, rows: list[dict[str, Any]], picture: Callable[..., Preview]
) -> None:
    write_report(tmp_path, rows, [picture("dense", 0)], [], {})
    (entry,) = read_report(tmp_path / "report.json")["pictures"]
    with pytest.raises(Refusal, match="cannot be read as a picture"):
        beside.read(tmp_path, {"pictures": [{**entry, "captions": ["a"] * 7}]})


@pytest.mark.parametrize(
    "name", ["../secret.png", "pictures/../../secret.png", "secret.png", "pictures/a.eps"]
)
def test_files_are_those_beside_the_report(tmp_path: Path, rows: list[dict[str, Any]], name: str) -> None:
    entry = {**ENTRY, "file": name, "captions": ["a"]}
    report = {"schema": SCHEMA, "rows": rows, "pictures": [entry]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(Refusal, match=r"pictures\.0\.file"):
        read_report(tmp_path / "report.json")


@pytest.mark.parametrize(("first", "second", "rate"), [(8, 9, 8000), (8, 8, 16000), (0, 0, 8000)])
def test_sounds_that_are_not_as_the_report_says(tmp_path: Path, first: int, second: int, rate: int) -> None:
    (tmp_path / "sounds").mkdir()
    for number, length in enumerate((first, second)):
        (tmp_path / "sounds" / f"{number}.wav").write_bytes(to_wav(np.zeros((1, length), np.int16), 8000))
    entry = {**ENTRY, "rate": rate, "files": ["sounds/0.wav", "sounds/1.wav"], "captions": ["a", "b"]}
    with pytest.raises(Refusal, match="sound"):
        beside.read(tmp_path, {"sounds": [entry]})


def test_what_is_quoted_stays_words(row: MakeRow) -> None:
    """In summary.md, in the terminal and in the page."""
    rows = [row("pruned", HOSTILE), row("pruned", "other")]
    rows[0]["metrics"][HOSTILE] = rows[0]["metrics"]["frechet_distance"]
    rows[1]["quantities"]["psnr"] |= dict.fromkeys(("title", "hint", "unit"), HOSTILE)
    del rows[0]["quantities"]["psnr"]
    lines = markdown(over_seeds(rows)).splitlines()
    assert len(lines) == 4
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert not [mark for mark in ("<", "]( ", " `", "\x1b", " *") if mark in lines[2]]
    drawn = io.StringIO()
    Console(file=drawn, width=200).print(terminal_table(rows))
    assert "\x1b" not in drawn.getvalue()
    assert "[red]g" in drawn.getvalue().replace("\n", "")
    page = render(rows, [pictures("pruned", HOSTILE, rows_of_pixels(), [HOSTILE])], [], {"command": HOSTILE})
    assert "<script>f" not in page


def rows_of_pixels() -> Any:
    return np.zeros((1, 2, 2, 3), np.uint8)


def test_names_with_dollars_can_be_drawn() -> None:
    assert "\\frac" in svg(Curve("$\\frac$", "$\\frac$", "$\\frac$", [Line("", [0, 1], [0, 1])]), "c0")
