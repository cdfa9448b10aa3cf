"""The files of a folder: through links, but not in circles."""

import hashlib
import os
from pathlib import Path

import pytest

from prunelab.core.contents import files, sha256
from prunelab.core.errors import Refusal


def names(place: Path, hidden: bool = True) -> list[str]:
    return [file.relative_to(place).as_posix() for file in files(place, hidden)]


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    """Laid out as a cache of the hub: every file of a snapshot is a link."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    (blobs / "deep").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "hash").write_text("config")
    (blobs / "deep" / "weights").write_text("weights")
    (snapshot / "config.json").symlink_to("../../blobs/hash")
    (snapshot / "unet").symlink_to("../../blobs/deep")
    (snapshot / ".hidden").write_text("")
    assert names(snapshot) == [".hidden", "config.json", "unet/weights"]
    assert names(snapshot, hidden=False) == ["config.json", "unet/weights"]
    assert sha256(snapshot / "unet" / "weights") == hashlib.sha256(b"weights").hexdigest()
    assert files(blobs / "hash") == [blobs / "hash"]
    assert files(tmp_path / "nothing") == []


def test_pipes_and_devices_are_no_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "null.png").symlink_to(os.devnull)
    assert files(tmp_path) == []


def test_circles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to("../..")
    with pytest.raises(Refusal, match="lead back to it without an end"):
        files(tmp_path)


def test_links_that_fork_at_every_level_end(tmp_path: Path) -> None:
    for level in range(30):
        (tmp_path / str(level)).mkdir()
        for name in ("left", "right"):
            (tmp_path / str(level) / name).symlink_to(tmp_path / str(level + 1))
    (tmp_path / "30").mkdir()
    with pytest.raises(Refusal, match="without an end"):
        files(tmp_path / "0")


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights").symlink_to("gone")
    with pytest.raises(Refusal, match=r"weights is a link that leads nowhere"):
        files(tmp_path)
    (tmp_path / "weights").rename(tmp_path / ".weights")
    assert files(tmp_path, hidden=False) == []
