"""The page refers to nothing outside itself; the JSON file holds what was given."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prunelab.core.previews import Preview
from prunelab.report import Curve, Line, read_report, write_report

LOSS = Curve("Recovery loss", "step", "loss", [Line("student", [0, 1, 2], [1.0, 0.5, 0.4])], level=0.3)
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects attributes, tags left open, and words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def page_of(folder: Path, rows: list[dict[str, Any]], pictures: list[Preview]) -> Page:
    context = {"title": "A <run>", "command": "prunelab sparsity=0.3", "seed": 0}
    return Page(write_report(folder, rows, pictures, [LOSS], context).read_text(encoding="utf-8"))


def test_the_page_is_well_formed_and_self_contained(
    tmp_path: Path, rows: list[dict[str, Any]], pictures: list[Preview]
) -> None:
    page = page_of(tmp_path, rows, pictures)
    assert page.open == []
    links = [value for name in ("src", "href", "xlink:href") for value in page.values(name)]
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html


def test_ids_of_drawings_are_unique_and_found(
    tmp_path: Path, rows: list[dict[str, Any]], pictures: list[Preview]
) -> None:
    html = write_report(tmp_path, rows, pictures, [LOSS, LOSS], {}).read_text(encoding="utf-8")
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.values("xlink:href")} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_pictures_are_inline_pixel_by_pixel(
    tmp_path: Path, rows: list[dict[str, Any]], pictures: list[Preview]
) -> None:
    page = page_of(tmp_path, rows, pictures)
    shown = [base64.b64decode(value.split(",")[1]) for value in page.values("src")]
    given = [np.asarray(Image.open(io.BytesIO(still))) for picture in pictures for still in picture.stills]
    assert len(shown) == len(given) == 9
    for data, image in zip(shown, given, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)


def test_words_are_escaped(tmp_path: Path, rows: list[dict[str, Any]], pictures: list[Preview]) -> None:
    page = page_of(tmp_path, rows, pictures)
    assert {"A <run>", "a <b>bold</b> one", "a blue & green two", "prunelab sparsity=0.3"} <= set(page.words)


def test_the_table_has_intervals_changes_and_verdicts(
    tmp_path: Path, rows: list[dict[str, Any]], pictures: list[Preview]
) -> None:
    words = page_of(tmp_path, rows, pictures).words
    assert {"80.0", "[78.0, 82.0]", "90.0 %", "[89.0, 91.0]", "24.0 dB"} <= set(words)
    assert words.count("\N{EN DASH}") == 5  # PSNR and request of the dense model, memory of all three
    assert "2.00x faster" in words
    assert words.count("no speed-up") == 1
    assert "\N{MINUS SIGN}30.0 %" in words


def test_the_json_file_holds_what_was_given(
    tmp_path: Path, rows: list[dict[str, Any]], pictures: list[Preview]
) -> None:
    write_report(tmp_path, rows, pictures, [LOSS], {"title": "t"})
    report = read_report(tmp_path / "report.json")
    assert report["schema"] == 1
    assert report["rows"] == rows
    assert report["context"] == {"title": "t"}
    assert report["curves"][0]["lines"][0]["y"] == [1.0, 0.5, 0.4]
    assert [entry["state"] for entry in report["pictures"]] == ["dense", "pruned", "recovered"]
    assert all((tmp_path / entry["file"]).is_file() for entry in report["pictures"])


def test_a_run_without_pictures_or_curves(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    html = write_report(tmp_path, rows, [], [], {}).read_text(encoding="utf-8")
    assert "Same prompts" not in html
    assert "Curves" not in html


def test_writing_again_changes_nothing(
    tmp_path: Path, rows: list[dict[str, Any]], pictures: list[Preview]
) -> None:
    first = write_report(tmp_path, rows, pictures, [LOSS], {}).read_bytes()
    assert write_report(tmp_path, rows, pictures, [LOSS], {}).read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("pictures", "report.html", "report.json", "summary.csv", "summary.md", "summary.tex")
    ]


def test_numbers_that_json_cannot_hold_are_not_written(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    rows[1]["metrics"]["psnr"]["value"] = float("inf")
    with pytest.raises(AssertionError, match=r"row\.metrics\.psnr\.value"):
        write_report(tmp_path, rows, [], [], {})
    assert not (tmp_path / "report.json").exists()


def test_the_nominal_total_and_the_compressed_size_are_shown_where_they_are_known(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    plain = page_of(tmp_path, rows, []).words
    assert {"Nominal total", "Compressed"} & set(plain) == set()
    rows[1]["sparsity"]["nominal"] = 0.385
    rows[0]["cost"]["compressed_bytes"], rows[1]["cost"]["compressed_bytes"] = 2_000_000, 1_500_000
    shown = page_of(tmp_path, rows, []).words
    assert {"Nominal total", "38.5 %", "Compressed", "1.50 MB", "\N{MINUS SIGN}25.0 %"} <= set(shown)
