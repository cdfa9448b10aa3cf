"""A file is read once, and again whenever anything about it has changed."""

import os
import time
from pathlib import Path

import pytest

from prunelab.artifacts import checksums
from prunelab.artifacts.checksums import Entry, listing, matches


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were hashed, in order."""
    names: list[str] = []
    original = checksums.sha256

    def counted(path: Path) -> str:
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(checksums, "sha256", counted)
    return names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, Entry]]:
    """A folder of two files, and its listing; files settle at once."""
    monkeypatch.setattr(checksums, "SETTLED", -1)
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    return tmp_path, listing(tmp_path, leave_out="artifact.json")


def test_an_untouched_file_is_read_once(folder: tuple[Path, dict[str, Entry]], reads: list[str]) -> None:
    for _ in range(3):
        assert matches(*folder)
    assert reads == ["one", "two"]


def test_a_change_is_seen_although_size_and_time_are_as_before(
    folder: tuple[Path, dict[str, Entry]], reads: list[str]
) -> None:
    """The time of the content is set back; the inode's own time gives it away."""
    path = folder[0] / "one"
    before = path.stat()
    assert matches(*folder)
    time.sleep(0.02)  # longer than the grain of the kernel's clock
    path.write_bytes(b"eno" * 100)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert not matches(*folder)
    assert reads == ["one", "two", "one"]


def test_a_file_in_the_place_of_another_is_read(
    folder: tuple[Path, dict[str, Entry]], reads: list[str]
) -> None:
    assert matches(*folder)
    (folder[0] / "other").write_bytes(b"eno" * 100)
    (folder[0] / "other").replace(folder[0] / "one")
    assert not matches(*folder)


def test_what_changed_a_moment_ago_is_read_every_time(
    folder: tuple[Path, dict[str, Entry]], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "SETTLED", 3600 * 10**9)
    for _ in range(2):
        assert matches(*folder)
    assert reads == ["one", "two", "one", "two"]
