"""The store: what is valid, who waits for whom, and what a kill or a full disk leaves behind."""

import errno
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError

from prunelab.artifacts import Store, address, default_root
from prunelab.core.errors import Refusal

ADDRESS = address("score", "magnitude", 1, seed=0)
processes = multiprocessing.get_context("fork")


def fill(store: Store, text: str = "scores") -> None:
    folder = store.partial(ADDRESS) / "result"
    (folder / "inner").mkdir(parents=True)
    (folder / "scores.json").write_text(text)
    (folder / "inner" / "more.bin").write_bytes(bytes(range(256)))
    store.commit(ADDRESS, folder, {"seed": 0, "parents": ("model-x",)})


def test_commit_is_valid_and_leaves_no_partial(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store")
    assert not store.valid(ADDRESS)
    fill(store)
    assert store.valid(ADDRESS)
    assert (store.path(ADDRESS) / "inner" / "more.bin").read_bytes() == bytes(range(256))
    assert not (store.root / ".partial" / ADDRESS).exists()


def test_record_says_what_made_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store)
    record = json.loads((store.path(ADDRESS) / "artifact.json").read_text())
    assert record["address"] == ADDRESS
    assert record["inputs"] == {"seed": 0, "parents": ["model-x"]}
    assert set(record["files"]) == {"scores.json", "inner/more.bin"}
    assert record["files"]["inner/more.bin"]["size"] == 256


def test_partial_itself_can_be_committed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.partial(ADDRESS) / "a").write_text("a")
    store.commit(ADDRESS, store.partial(ADDRESS), {})
    assert store.valid(ADDRESS)
    assert not (store.root / ".partial" / ADDRESS).exists()


def alter_byte(folder: Path) -> None:
    content = bytearray((folder / "inner" / "more.bin").read_bytes())
    content[100] ^= 1
    (folder / "inner" / "more.bin").write_bytes(content)


def truncate(folder: Path) -> None:
    os.truncate(folder / "inner" / "more.bin", 255)


def empty_record(folder: Path) -> None:
    (folder / "artifact.json").write_text("")


def garbage_record(folder: Path) -> None:
    (folder / "artifact.json").write_bytes(b"\xff\x00{")


def list_record(folder: Path) -> None:
    (folder / "artifact.json").write_text("[]")


def altered_record(folder: Path) -> None:
    record = json.loads((folder / "artifact.json").read_text())
    del record["files"]["scores.json"]
    (folder / "artifact.json").write_text(json.dumps(record))


def missing_file(folder: Path) -> None:
    (folder / "scores.json").unlink()


def missing_record(folder: Path) -> None:
    (folder / "artifact.json").unlink()


DAMAGES = [
    alter_byte,
    truncate,
    missing_file,
    missing_record,
    empty_record,
    garbage_record,
    list_record,
    altered_record,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_seen_and_rebuilt(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    store = Store(tmp_path)
    fill(store)
    damage(store.path(ADDRESS))
    assert not store.valid(ADDRESS)
    fill(store, "again")
    assert store.valid(ADDRESS)
    assert (store.path(ADDRESS) / "scores.json").read_text() == "again"


def test_an_artifact_under_another_address_is_invalid(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store)
    other = address("score", "magnitude", 1, seed=1)
    store.path(ADDRESS).rename(store.path(other))
    assert not store.valid(other)


def test_discard_forgets_artifact_and_partial_work(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store)
    (store.partial(ADDRESS) / "checkpoint").write_text("half")
    store.discard(ADDRESS)
    assert not store.path(ADDRESS).exists()
    assert list(store.partial(ADDRESS).iterdir()) == []
    store.discard(ADDRESS)


def test_partial_work_survives(tmp_path: Path) -> None:
    (Store(tmp_path).partial(ADDRESS) / "checkpoint").write_text("half")
    assert (Store(tmp_path).partial(ADDRESS) / "checkpoint").read_text() == "half"


def compute_once(root: Path, log: Path) -> None:
    store = Store(root)
    with store.hold(ADDRESS):
        if not store.valid(ADDRESS):
            with log.open("a") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(0.5)
            fill(store)


def test_of_two_jobs_one_computes_and_the_other_waits(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    jobs = [processes.Process(target=compute_once, args=(tmp_path / "store", log)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(30)
    assert [job.exitcode for job in jobs] == [0, 0]
    assert len(log.read_text().split()) == 1
    assert Store(tmp_path / "store").valid(ADDRESS)
    assert capfd.readouterr().err == f"waiting for another job that computes {ADDRESS}\n"


def killed_at_the_rename(root: Path) -> None:
    def kill(source: str, target: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    os.rename = kill  # type: ignore[assignment]
    with Store(root).hold(ADDRESS):
        fill(Store(root))


def test_a_kill_before_the_rename_leaves_nothing_valid_and_the_lock_free(tmp_path: Path) -> None:
    job = processes.Process(target=killed_at_the_rename, args=(tmp_path,))
    job.start()
    job.join(30)
    assert job.exitcode == -signal.SIGKILL
    store = Store(tmp_path)
    assert not store.valid(ADDRESS)
    assert (store.partial(ADDRESS) / "result" / "artifact.json").exists()
    compute_after_the_kill(store)


def compute_after_the_kill(store: Store) -> None:
    with store.hold(ADDRESS):
        store.commit(ADDRESS, store.partial(ADDRESS) / "result", {})
    assert store.valid(ADDRESS)


def test_full_disk_in_commit_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store(tmp_path)
    folder = store.partial(ADDRESS)
    (folder / "a").write_text("a")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(Refusal) as caught:
            store.commit(ADDRESS, folder, {})
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "MB free" in message
    assert "free space and run the same command again" in message
    assert "\n" not in message
    assert not store.valid(ADDRESS)
    assert (folder / "a").read_text() == "a"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    ],
)
def test_full_disk_while_held_is_a_refusal(tmp_path: Path, error: Exception) -> None:
    store = Store(tmp_path)
    with pytest.raises(Refusal, match="full"), store.hold(ADDRESS):
        raise error
    with store.hold(ADDRESS):  # the lock was let go
        pass


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), FileNotFoundError(2, "no", "/x"), KeyError()]
)
def test_other_errors_pass_unchanged(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, Store(tmp_path).hold(ADDRESS):
        raise error
    assert caught.value is error


def test_a_store_that_cannot_be_written_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "store")
    assert not store.valid(ADDRESS)
    for act in (lambda: store.partial(ADDRESS), lambda: store.hold(ADDRESS).__enter__()):
        with pytest.raises(Refusal, match=r"cannot be written.*PRUNELAB_STORE"):
            act()


def test_permission_denied_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    store = Store(tmp_path)
    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(Refusal, match="permission denied"):
        store.partial(ADDRESS)


def test_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRUNELAB_STORE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("PRUNELAB_STORE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_root() == tmp_path / "home" / ".cache" / "prunelab"
