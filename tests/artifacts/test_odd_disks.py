"""Disks in trouble, and things in the place of others: one line that names the disk, or no artifact."""

import errno
import fcntl
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import SoftFileLease

from prunelab.artifacts import Store, address, default_root, disk
from prunelab.artifacts.checksums import sha256
from prunelab.artifacts.disk import refusing_disk_errors
from prunelab.artifacts.record import _checksum
from prunelab.core.errors import Refusal

ADDRESS = address("score", "magnitude", 1, seed=0)


def fill(store: Store, text: str = "scores") -> None:
    with store.hold(ADDRESS):
        store.make_way(ADDRESS)
        folder = store.partial(ADDRESS) / "result"
        folder.mkdir()
        (folder / "scores.json").write_text(text)
        store.commit(ADDRESS, folder, {"seed": 0})


def forged(folder: Path, **changes: Any) -> None:
    """A record with a checksum that is right, and content that no version wrote."""
    record = json.loads((folder / "artifact.json").read_text()) | changes
    del record["sha256"]
    record = {key: value for key, value in record.items() if value is not None}
    record["sha256"] = _checksum(record)
    (folder / "artifact.json").write_text(json.dumps(record))


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return damage


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end, tempfile.TemporaryDirectory() as short:
        end.bind(f"{short}/s")  # paths of sockets are short
        Path(short, "s").rename(path)


def fifo_instead_of_all(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    os.mkfifo(folder)


def link_to_nowhere(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.symlink_to("nowhere")


def link_in_a_loop(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.symlink_to(folder.name)


ODD: dict[str, Callable[[Path], None]] = {
    "record a folder": instead("artifact.json", Path.mkdir),
    "record a pipe": instead("artifact.json", os.mkfifo),
    "record a socket": instead("artifact.json", listen),
    "record a device": instead("artifact.json", lambda path: path.symlink_to("/dev/zero")),
    "record a loop": instead("artifact.json", lambda path: path.symlink_to(path.name)),
    "record deep": lambda folder: (folder / "artifact.json").write_text("[" * 100_000) and None,
    "record a number without end": lambda folder: (folder / "artifact.json").write_text("9" * 5000) and None,
    "record without address": lambda folder: forged(folder, address=None),
    "record without files": lambda folder: forged(folder, files=None),
    "record with a list of files": lambda folder: forged(folder, files=["scores.json"]),
    "record with files of no size": lambda folder: forged(folder, files={"scores.json": {}}),
    "record of no file name": lambda folder: forged(folder, files={"a\0b": {"size": 1, "sha256": ""}}),
    "record of half a character": lambda folder: forged(folder, files={"\ud800": {"size": 1, "sha256": ""}}),
    "record of a long name": lambda folder: forged(folder, files={"x" * 300: {"size": 1, "sha256": ""}}),
    "file a pipe": instead("scores.json", os.mkfifo),
    "file a folder": instead("scores.json", Path.mkdir),
    "file a loop": instead("scores.json", lambda path: path.symlink_to(path.name)),
    "file a device": instead("scores.json", lambda path: path.symlink_to("/dev/zero")),
    "artifact a pipe": fifo_instead_of_all,
    "artifact a link to nowhere": link_to_nowhere,
    "artifact a link in a loop": link_in_a_loop,
}


@pytest.mark.parametrize("damage", ODD.values(), ids=ODD.keys())
def test_what_is_no_artifact_is_replaced(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    store = Store(tmp_path)
    fill(store)
    damage(store.path(ADDRESS))
    assert not store.valid(ADDRESS)
    fill(store, "again")
    assert store.valid(ADDRESS)
    assert (store.path(ADDRESS) / "scores.json").read_text() == "again"
    assert list((tmp_path / ".discarded").iterdir()) == []


def test_a_link_to_the_same_content_is_that_content(tmp_path: Path) -> None:
    """Large files, or whole artifacts, may have been moved to another disk."""
    store = Store(tmp_path / "store")
    fill(store)
    path = store.path(ADDRESS) / "scores.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert store.valid(ADDRESS)
    (tmp_path / "elsewhere").write_text("Scores")
    assert not store.valid(ADDRESS)
    fill(store, "again")
    assert (tmp_path / "elsewhere").read_text() == "Scores"


def test_a_pipe_among_the_results_does_not_hang_the_commit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.partial(ADDRESS)
    (folder / "a").write_text("a")
    os.mkfifo(folder / "pipe")
    (folder / "dangling").symlink_to("nowhere")
    store.commit(ADDRESS, folder, {})
    assert store.valid(ADDRESS)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_failing_disk_costs_no_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """It is not computed again, nor removed: it may be whole."""

    def failing(path: Path) -> str:
        raise OSError(code, os.strerror(code), str(path))

    store = Store(tmp_path)
    fill(store)
    with monkeypatch.context() as patch:
        patch.setattr("prunelab.artifacts.checksums.sha256", failing)
        with pytest.raises(Refusal, match=r"the disk of .* failed .*run the same command again"):
            store.valid(ADDRESS)
    assert store.valid(ADDRESS)
    assert sha256(store.path(ADDRESS) / "scores.json")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_any_lock_is_explained_and_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def lockless(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    store = Store(tmp_path)
    fill(store)
    monkeypatch.setattr(fcntl, "flock", lockless)
    monkeypatch.setattr(SoftFileLease, "_acquire", lockless)
    assert store.valid(ADDRESS)
    for _ in range(2):  # no file that was left by the first is taken for a lock
        with pytest.raises(Refusal) as caught, store.hold("other-0"):
            pass
        said = str(caught.value)
        assert f"the file system of {tmp_path}" in said
        assert f"{disk.mount(tmp_path)}) gives no locks ({os.strerror(code).lower()})" in said
        assert "store=FOLDER or PRUNELAB_STORE" in said
        assert "\n" not in said


def room(free: int = 10**9, inodes: int = 10**6) -> SimpleNamespace:
    return SimpleNamespace(f_bavail=free // 4096, f_frsize=4096, f_files=10**6, f_favail=inodes)


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """``disks["store"] = room(0)`` fills the disk of the folder store; output and tmp are others."""
    rooms: dict[str, Any] = {}
    for name in ("store", "output", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "output")
    monkeypatch.setattr(os, "statvfs", lambda path: rooms.get(Path(path).name, room()))
    return rooms


@pytest.mark.parametrize("name", ["store", "output", "tmp"])
def test_the_disk_that_is_full_is_named(tmp_path: Path, disks: dict[str, Any], name: str) -> None:
    """A write that fails says not where it was: the disk that has no room does."""
    disks[name] = room(free=0)
    with (
        pytest.raises(Refusal, match=f"the disk of {tmp_path / name} is full") as caught,
        refusing_disk_errors(tmp_path / "store"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "0.0 MB free on" in str(caught.value)


def test_a_copy_names_where_it_went(tmp_path: Path, disks: dict[str, Any]) -> None:
    """The source comes first in the error, and was read without trouble."""
    source, target = str(tmp_path / "store" / "a"), str(tmp_path / "output" / "a")
    with (
        pytest.raises(Refusal, match=f"the disk of {tmp_path / 'output'} is full"),
        refusing_disk_errors(tmp_path / "output"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", source, None, target)


def test_shared_memory_is_named(tmp_path: Path) -> None:
    error = RuntimeError("unable to write to file </torch_1_2_3>: No space left on device (28)")
    with pytest.raises(Refusal, match="the disk of /dev/shm is full"), refusing_disk_errors(tmp_path):
        raise error


def test_a_disk_without_room_for_files_says_so(tmp_path: Path, disks: dict[str, Any]) -> None:
    disks["store"] = room(inodes=0)
    with (
        pytest.raises(Refusal, match=r"is full: it takes no more files, however small \(1000.0 MB free"),
        refusing_disk_errors(tmp_path / "store"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "store" / "a"))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EDQUOT, "your quota on the disk of {folder} .* is used up: free space"),
        (errno.EFBIG, "a file in {folder} outgrew what its disk or ulimit -f allows"),
        (errno.EROFS, "{folder} cannot be written .*read-only file system"),
        (errno.EISDIR, "{folder} cannot be written .*is a directory"),
        (errno.ELOOP, "{folder} cannot be written .*too many levels"),
        (errno.ENAMETOOLONG, "{folder} cannot be written .*file name too long"),
        (errno.EIO, "the disk of {folder} .* failed .*input/output error"),
        (errno.ESTALE, "the disk of {folder} .* failed .*stale file handle"),
    ],
)
def test_every_trouble_has_its_line(tmp_path: Path, code: int, said: str) -> None:
    with pytest.raises(Refusal, match=said.format(folder=tmp_path)) as caught, refusing_disk_errors(tmp_path):
        raise OSError(code, os.strerror(code), str(tmp_path / "file"))
    assert "\n" not in str(caught.value)


def test_a_limit_of_the_shell_is_said(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(Refusal, match=f"a file in {tmp_path} outgrew .* ulimit -f"):
            fill(Store(tmp_path), "x" * 10**6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    Store(tmp_path).discard(ADDRESS)
    fill(Store(tmp_path))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of a quarter of a megabyte and thirty files."""
    folder = tmp_path / "small disk"  # mount lists write the space otherwise
    folder.mkdir()
    if os.geteuid() != 0 or mount("-t", "tmpfs", "-o", "size=256k,nr_inodes=30", "tmpfs", str(folder)):
        pytest.skip("a disk can only be mounted by root, outside of containers that forbid it")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", "--lazy", str(folder)], check=True)


def mount(*words: str) -> int:
    program = shutil.which("mount")
    if program is None:
        return 1
    return subprocess.run([program, *words], check=False, capture_output=True).returncode


def many_files(folder: Path) -> None:
    for number in range(40):
        (folder / str(number)).touch()


def test_a_real_disk_runs_full_out_of_files_and_read_only(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    with pytest.raises(Refusal, match=rf"the disk of .* is full \(0.0 MB free on tmpfs at {small_disk}\)"):
        fill(store, "x" * 10**6)
    store.discard(ADDRESS)
    with pytest.raises(Refusal, match="it takes no more files, however small"), store.hold(ADDRESS):
        many_files(store.partial(ADDRESS))
    store.discard(ADDRESS)
    fill(store)
    assert mount("-o", "remount,ro", str(small_disk)) == 0
    assert store.valid(ADDRESS)
    with (
        pytest.raises(Refusal, match=r"read-only file system.*it lacks other-0; set store="),
        store.hold("other-0"),
    ):
        pass


@pytest.mark.parametrize(
    "name", ["with spaces", "ünïcode-名", "quote'\"", "line\nbreak", "-dash", "%s{0}$HOME"]
)
def test_a_store_may_be_called_anything(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / name)
    fill(store)
    assert store.valid(ADDRESS)


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["x" * 200] * 30)])
def test_a_name_that_is_too_long_is_one_line(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / name)
    assert not store.valid(ADDRESS)
    with pytest.raises(Refusal, match="file name too long"):
        fill(store)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(user: object) -> None:
        raise KeyError(user)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("PRUNELAB_STORE", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(Refusal, match="no home folder for the store: set store=FOLDER or PRUNELAB_STORE"):
        default_root()
    with pytest.raises(Refusal, match="no home folder for the store: set store=FOLDER or PRUNELAB_STORE"):
        Store("~nobody-of-this-name/store")
    monkeypatch.setenv("PRUNELAB_STORE", str(tmp_path))
    assert default_root() == tmp_path
