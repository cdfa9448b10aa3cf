"""Links to an artifact's files, and copies of them."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from prunelab.artifacts.links import copy_files, link_files


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "store" / "unet").mkdir(parents=True)
    (tmp_path / "store" / "model_index.json").write_text("{}")
    (tmp_path / "store" / "unet" / "model.safetensors").write_bytes(bytes(1000))
    return tmp_path / "store"


def held(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_link_takes_no_room_and_outlives_the_store(source: Path, tmp_path: Path) -> None:
    before = held(source)
    for _ in range(2):  # a second run puts the same in the place of the first one's
        assert not link_files(source, tmp_path / "out")
        assert held(tmp_path / "out") == before
    for name in before:
        assert (tmp_path / "out" / name).samefile(source / name)
    shutil.rmtree(source)
    assert held(tmp_path / "out") == before


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_there_are_no_hard_links_there_are_symbolic_ones(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refused)
    for _ in range(2):
        assert link_files(source, tmp_path / "out")
    assert held(tmp_path / "out") == held(source)
    assert (tmp_path / "out" / "model_index.json").is_symlink()


def test_a_copy_takes_the_place_of_a_link_and_leaves_the_store_alone(source: Path, tmp_path: Path) -> None:
    link_files(source, tmp_path / "out")
    copy_files(source, tmp_path / "out")
    assert held(tmp_path / "out") == held(source)
    (tmp_path / "out" / "model_index.json").write_text("changed")
    assert (source / "model_index.json").read_text() == "{}"
