"""A medium that the report has never heard of is shown, kept beside it, and carried into a sweep."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prunelab.core.errors import Refusal
from prunelab.core.image_files import png
from prunelab.core.previews import Preview
from prunelab.report import beside, read_report, write_combined, write_report

STILL = png(np.full((4, 6, 3), 90, np.uint8))


def films(state: str, content: bytes = b"film") -> Preview:
    return Preview(
        state, "", ["a", "b"], [STILL] * 2, [content, b"2"], "video/mp4", "films", "Same prompts, moving"
    )


def test_it_stands_in_its_section_and_beside_the_report(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    shown = [films("dense"), films("pruned", b"shorter")]
    html = write_report(tmp_path, rows, shown, [], {}).read_text("utf-8")
    assert "<h3>Same prompts, moving</h3>" in html
    for content in (b"film", b"shorter"):
        assert f'src="data:video/mp4;base64,{base64.b64encode(content).decode()}"' in html
    report = read_report(tmp_path / "report.json")
    assert (report["pictures"], report["sounds"]) == ([], [])
    assert (tmp_path / report["previews"][1]["files"][0]).read_bytes() == b"shorter"
    assert beside.read(tmp_path, report) == shown


def test_a_sweep_carries_each_once(tmp_path: Path, row: Callable[..., dict[str, Any]]) -> None:
    for number, scorer in enumerate(("magnitude", "random")):
        shown = [films("dense"), films("pruned", bytes([number]))]
        write_report(tmp_path / scorer, [row("dense"), row("pruned", scorer)], shown, [], {})
    write_combined(tmp_path / "sweep", [tmp_path / "magnitude", tmp_path / "random"])
    read = beside.read(tmp_path / "sweep", read_report(tmp_path / "sweep" / "report.json"))
    assert [(one.state, one.label, one.played[0]) for one in read] == [
        ("dense", "", b"film"),
        ("pruned", "magnitude", b"\0"),
        ("pruned", "random", b"\1"),
    ]


@pytest.mark.parametrize(
    "shown",
    [
        Preview("dense", "", ["a"], [STILL], [b"gif"], "image/gif"),
        Preview("dense", "", ["a"], [STILL], heading="In a section of its own"),
        Preview("dense", "", ["a", "b"], [STILL, png(np.zeros((9, 9, 3), np.uint8))]),
        Preview("dense", "", ["a"], [STILL], [b"not of a rate"], "audio/mpeg", "sounds"),
    ],
    ids=["moving pictures", "heading", "two sizes", "another format"],
)
def test_what_is_no_strip_and_no_wav_is_kept_whole(
    tmp_path: Path, rows: list[dict[str, Any]], shown: Preview
) -> None:
    write_report(tmp_path, rows, [shown], [], {})
    assert beside.read(tmp_path, read_report(tmp_path / "report.json")) == [shown]


def test_what_is_broken_is_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    write_report(tmp_path, rows, [films("dense")], [], {})
    report = read_report(tmp_path / "report.json")
    (tmp_path / report["previews"][0]["files"][1]).unlink()
    with pytest.raises(Refusal, match="cannot be read as a preview"):
        beside.read(tmp_path, report)
    (tmp_path / report["previews"][0]["stills"][0]).write_bytes(b"no picture")
    with pytest.raises(Refusal, match="cannot be read as a picture"):
        beside.read(tmp_path, report)
