"""Hashes of large files: read once, by whichever process, and again after a change."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prunelab.core import contents, remembered


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of files that were read; those of ten bytes are large here."""
    seen = list[str]()
    original = contents._read

    def read(file: Path) -> str:
        seen.append(file.name)
        return original(file)

    monkeypatch.setattr(contents, "_read", read)
    monkeypatch.setattr(remembered, "LARGE", 10)
    remembered.remember_in(tmp_path / "store" / ".hashes")
    yield seen
    remembered.remember_in(None)


def large(folder: Path, text: str = "a large file", age: int = 60) -> Path:
    file = folder / "large"
    file.write_text(text)
    changed = file.stat().st_mtime_ns - age * 10**9
    os.utime(file, ns=(changed, changed))
    return file


def test_a_large_file_is_read_once_whatever_links_it_has(tmp_path: Path, reads: list[str]) -> None:
    file = large(tmp_path)
    found = contents.sha256(file)
    (tmp_path / "link").hardlink_to(file)
    assert [contents.sha256(file), contents.sha256(tmp_path / "link")] == [found] * 2
    assert reads == ["large"]


def test_a_changed_file_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    first = contents.sha256(large(tmp_path))
    second = contents.sha256(large(tmp_path, "a larger file", age=50))
    assert first != second
    assert len(reads) == 2


def test_small_files_and_those_that_changed_a_moment_ago_are_not_remembered(
    tmp_path: Path, reads: list[str]
) -> None:
    (tmp_path / "small").write_text("small")
    for file in (tmp_path / "small", large(tmp_path, age=0)):
        assert contents.sha256(file) == contents.sha256(file)
    assert reads == ["small", "small", "large", "large"]


def test_what_cannot_be_kept_is_read_every_time(tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / "store").write_text("in the way")
    file = large(tmp_path)
    assert contents.sha256(file) == contents.sha256(file)
    assert reads == ["large"] * 2
